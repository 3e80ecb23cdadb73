"""The scoring benchmark: predicting beside LightGBM, and what else a scoring run does beside its limits.

Everything it does lies in the folder `scoring_parts`. Run it with `make bench-scoring`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide what the repository calls the same.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.scoring_parts.command import main

    main()
