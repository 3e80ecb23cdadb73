"""The features benchmark: point-in-time join, build, one day more, and online, beside their peers.

Everything it does lies in the folder `scale`. Run it with `make bench-features`.
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python puts this folder first, where this very file would hide the package `features`.
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    from tests.benchmarks.scale.features_report import main

    main()
