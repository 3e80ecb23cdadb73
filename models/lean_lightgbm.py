"""LightGBM without what only its estimators need: a process that predicts starts a second earlier."""

from __future__ import annotations

import sys
from importlib import import_module

_NOT_NEEDED = "sklearn"


def import_lean_lightgbm() -> None:
    """Nothing; LightGBM is imported, and scikit-learn, which it would import as well, is not.

    LightGBM does without where scikit-learn is missing. Where ours needs it, it is imported as ever.
    """
    if "lightgbm" in sys.modules or _NOT_NEEDED in sys.modules:
        return
    sys.modules[_NOT_NEEDED] = None  # type: ignore[assignment]  # which Python reads as: not installed
    try:
        import_module("lightgbm")
    finally:
        del sys.modules[_NOT_NEEDED]
