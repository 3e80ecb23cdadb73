"""The drift benchmark: how fast a verdict is, which faults it finds, and how often it cries wolf.

Everything it does lies in the folder `drift_parts`. Run it with `make bench-drift`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide what the repository calls the same.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.drift_parts import alarms, faults, speed
    from tests.benchmarks.scoring_parts.command import main

    parts = (speed.PART, alarms.PART, faults.PART)
    main("drift", "Drift verdicts: speed, false alarms, faults found.", parts)
