"""The operation benchmark: how fast it is up, what it takes idle, how soon runs start, what kills do.

Everything it does lies in the folder `operate_parts`. Run it with `make bench-operate`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide what the repository calls the same.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.operate_parts import kills, schedule, start
    from tests.benchmarks.scoring_parts.command import main

    parts = (start.PART, schedule.PART, kills.PART)
    main("operate", "Operation: from a clone to a platform, its memory, its schedule, its kills.", parts)
