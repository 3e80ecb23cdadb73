"""The experiments benchmark: whether what readouts promise holds, over thousands of simulated experiments.

Everything it does lies in the folder `experiments_parts`. Run it with `make bench-experiments`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide what the repository calls the same.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.experiments_parts import (
        closed_loop,
        looks,
        mismatch,
        off_policy,
        past_spend,
        unplanned,
    )
    from tests.benchmarks.scoring_parts.command import main

    parts = (looks.PART, unplanned.PART, mismatch.PART, past_spend.PART, off_policy.PART, closed_loop.PART)
    about = "Experiments: errors, power, coverage, mismatch, CUPED, off-policy, closed loop."
    main("experiments", about, parts)
