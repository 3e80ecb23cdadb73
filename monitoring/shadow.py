"""A challenger in shadow beside the champion: would the same users get the same things, as often, as surely?

Both have scored the same users for the same day, and both have planned it; nobody is sent the challenger's.
That a challenger differs is why it was made: only what would surprise people on the day it goes live counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np
import pandas as pd

from monitoring.model_health import Verdict

CANDIDATE_COLUMNS = ("user_id", "slot", "item_id", "score", "p_item")
PUSH_COLUMNS = ("user_id", "slot", "item_id")
_OCCASION = ["user_id", "slot"]
_BINS = 20


@dataclass(frozen=True)
class Range:
    """Values within `ok` are fine, those outside `bearable` fail, those between warn."""

    ok: tuple[float, float]
    bearable: tuple[float, float]

    def verdict_of(self, value: float) -> Verdict:
        """How bad the value is; one that is no number fails.

        Examples:
            >>> Range((0.5, 1.0), (0.2, 1.0)).verdict_of(0.3)
            'warn'
        """
        if not self.bearable[0] <= value <= self.bearable[1]:
            return "fail"
        return "ok" if self.ok[0] <= value <= self.ok[1] else "warn"


@dataclass(frozen=True)
class ShadowParams:
    """How far apart the two may be.

    Attributes:
        top: Items at the head of an occasion's ranking that are compared.
        top_overlap: Share of them that both have there.
        chance_ratio: Mean chance that the challenger promises for them, over the champion's.
        plan_size: Pushes it would send, over the champion's.
        plan_users: Users whom both would push, of those whom either would.
        lead_items: Of the occasions that both push, those with the same first item.
    """

    top: int = 10
    top_overlap: Range = Range((0.5, 1.0), (0.2, 1.0))
    chance_ratio: Range = Range((2 / 3, 1.5), (0.5, 2.0))
    plan_size: Range = Range((0.8, 1.25), (2 / 3, 1.5))
    plan_users: Range = Range((0.5, 1.0), (0.2, 1.0))
    lead_items: Range = Range((0.2, 1.0), (0.0, 1.0))


@dataclass(frozen=True)
class ShadowMeasure:
    """One number of the comparison.

    Attributes:
        bearable: The range outside of which it fails.
    """

    name: str
    value: float
    bearable: tuple[float, float]
    verdict: Verdict

    @property
    def words(self) -> str:
        """One clause."""
        low, high = self.bearable
        return f"{self.name.replace('_', ' ')} {self.value:.2f} (bearable {low:.2g}..{high:.2g})"


def compare_shadow(
    champion: pd.DataFrame,
    challenger: pd.DataFrame,
    champion_pushes: pd.DataFrame,
    challenger_pushes: pd.DataFrame,
    params: ShadowParams | None = None,
) -> list[ShadowMeasure]:
    """Every measure, the worst first.

    Args:
        champion, challenger: `CANDIDATE_COLUMNS` of the same users' candidates.
        champion_pushes, challenger_pushes: `PUSH_COLUMNS` of what each would send them.
    """
    params = params or ShadowParams()
    ours, theirs = _top(challenger, params.top), _top(champion, params.top)
    both = ours.merge(theirs, on=[*_OCCASION, "item_id"], suffixes=("", "_theirs"))
    sizes = [rows.groupby(_OCCASION).size() for rows in (ours, theirs)]
    shorter = pd.concat(sizes, axis=1, join="inner").min(axis=1)
    overlap = both.groupby(_OCCASION).size().reindex(shorter.index, fill_value=0) / shorter
    pushed, pushed_before = set(challenger_pushes["user_id"]), set(champion_pushes["user_id"])
    occasions = challenger_pushes.merge(champion_pushes, on=_OCCASION, suffixes=("", "_theirs"))
    measured = (
        ("top_overlap", _mean(overlap), params.top_overlap),
        ("chance_ratio", _over(_mean(ours["p_item"]), _mean(theirs["p_item"])), params.chance_ratio),
        ("plan_size", _over(len(challenger_pushes), len(champion_pushes)), params.plan_size),
        ("plan_users", _over(len(pushed & pushed_before), len(pushed | pushed_before)), params.plan_users),
        ("lead_items", _mean(occasions["item_id"] == occasions["item_id_theirs"]), params.lead_items),
        # Told, not judged: how far calibrated chances of all candidates moved, not only of the best.
        ("chance_shift", _psi(champion["p_item"], challenger["p_item"]), Range((0.0, inf), (0.0, inf))),
    )
    found = [
        ShadowMeasure(name, value, bounds.bearable, bounds.verdict_of(value))
        for name, value, bounds in measured
    ]
    order: Sequence[Verdict] = ("fail", "warn", "ok")
    return sorted(found, key=lambda one: order.index(one.verdict))


def _top(candidates: pd.DataFrame, count: int) -> pd.DataFrame:
    """The best `count` candidates of each occasion; equal scores by item, so that reruns agree."""
    plain = candidates[list(CANDIDATE_COLUMNS)].astype(dict.fromkeys([*_OCCASION, "item_id"], "object"))
    ranked = plain.sort_values(
        [*_OCCASION, "score", "item_id"], ascending=[True, True, False, True], ignore_index=True
    )
    return ranked[ranked.groupby(_OCCASION, sort=False).cumcount() < count]


def _mean(values: pd.Series) -> float:
    """The mean; 1 of nothing, as in a ratio of two plans that are both empty."""
    return float(values.mean()) if len(values) else 1.0


def _over(one: float, other: float) -> float:
    if other:
        return one / other
    return 1.0 if not one else inf


def _psi(before: pd.Series, now: pd.Series) -> float:
    """The population stability index over the champion's twentieths.

    Examples:
        >>> same = pd.Series(np.linspace(0, 1, 1_000))
        >>> round(_psi(same, same), 3), _psi(same, same / 2) > 1
        (0.0, True)
    """
    if before.empty or now.empty:
        return 0.0
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
    shares = []
    for values in (before, now):
        counts = np.bincount(np.searchsorted(edges, values.to_numpy()), minlength=len(edges) + 1)
        shares.append((counts + 0.5) / (counts.sum() + 0.5 * len(counts)))
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())
