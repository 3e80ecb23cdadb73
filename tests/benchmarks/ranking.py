"""The ranking benchmark: Kairos beside its peers on any source, and what each kind of context adds.

Everything it does lies in the folder `accuracy`. Run it with `make bench-ranking`, on another source with
`make bench-ranking SOURCE=parquet:DIR`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide what the repository calls the same.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.accuracy.report import main

    sys.exit(main())
