"""Runs these parts alone: `python tests/benchmarks/scoring_parts/run.py [--quick] [PART ...]`.

`tests/benchmarks/scoring.py` runs them beside the prediction's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def parts(quick: bool) -> dict[str, Any]:
    """Name -> a call that measures it."""
    from tests.benchmarks.scoring_parts import publication, readers, whole_run

    if quick:
        sizes = (4_000, 8_000)
        return {
            "publication": lambda: publication.measure(users=20_000, repeats=2),
            "readers": lambda: readers.measure(rows=90_000),
            "whole_run": lambda: whole_run.measure(sizes[-1], growth=sizes, trees=100),
        }
    return {
        "publication": publication.measure,
        "readers": readers.measure,
        "whole_run": whole_run.measure,
    }


def main() -> None:
    """Nothing; prints what was measured as JSON and writes it to KAIROS_HOME/bench/scoring-parts.json."""
    from infra.settings import load_settings

    asked = [name for name in sys.argv[1:] if not name.startswith("-")]
    calls = parts("--quick" in sys.argv)
    found = {name: call() for name, call in calls.items() if not asked or name in asked}
    print(json.dumps(found, indent=1))
    path = load_settings().home / "bench" / "scoring-parts.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[3])
    main()
