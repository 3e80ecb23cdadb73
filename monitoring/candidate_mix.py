"""What a day's candidates are made of: who proposed them, as columns that a watch can count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

CATEGORY = "category"
_SCORE, _PROPOSED = "score_", "proposed_by_"


def with_proposers(candidates: pd.DataFrame, retrievers: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """(the candidates with a yes or no for each retriever, those columns' names).

    A retriever proposes what it has an opinion of; one whose scores a model does not have is left out.

    Args:
        candidates: With a column `score_<retriever>` of opinions, 0 where it has none.
        retrievers: Their names.

    Examples:
        >>> found, names = with_proposers(pd.DataFrame({"score_ease": [0.0, 0.3]}), ["ease", "gone"])
        >>> names, found["proposed_by_ease"].tolist()
        (['proposed_by_ease'], ['no', 'yes'])
    """
    known = [name for name in retrievers if f"{_SCORE}{name}" in candidates]
    columns = {
        f"{_PROPOSED}{name}": np.where(candidates[f"{_SCORE}{name}"] > 0, "yes", "no") for name in known
    }
    return candidates.assign(**columns), list(columns)
