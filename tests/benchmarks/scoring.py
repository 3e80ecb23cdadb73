"""The scoring benchmark: predicting beside LightGBM, and what else a scoring run does beside its limits.

Everything it does lies in the folder `scoring_parts`. Run it with `make bench-scoring`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide what the repository calls the same.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.scoring_parts import prediction, publication, readers, whole_run
    from tests.benchmarks.scoring_parts.command import main

    # One file a part, one name here.
    parts = (prediction.PART, publication.PART, readers.PART, whole_run.PART)
    main("scoring", "Scoring beside its limits.", parts)
