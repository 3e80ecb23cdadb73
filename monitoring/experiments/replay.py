"""Past plans beside the same days planned again by a challenger: what it would have done, and its worth.

A choice is one push a user-day: its slot and first item. Only days on which both push the user once can
be compared. Whether a challenger pushes at all does not hang on what chance chose, so that leaving out the
others biases nothing; the log says nothing of them, and their number is told.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.errors import RefusedError
from monitoring.experiments.metrics import Doubles
from monitoring.experiments.off_policy import LoggedChoices

CHOICE = ("plan_date", "user_id", "slot", "item_id", "p_sale")
"""What is known of a push, logged or replayed; `p_sale` is what its own model says it is worth."""
LOGGED = (*CHOICE, "propensity", "reward", "experiment")
_DAY = ["plan_date", "user_id"]


@dataclass(frozen=True)
class Replay:
    """What a replay did beside the log, in user-days.

    Attributes:
        compared: Both pushed once; of these
        same: the challenger chose the same slot and item, and
        same_slot: the same slot.
        explored: The log's choice was not the best by its own policy's light.
        only_logged, only_replayed: One of them pushed.
        several: More than one push by either.
        in_experiments: Left out, since arms planned them in different ways.
    """

    compared: int
    same: int
    same_slot: int
    explored: int
    only_logged: int
    only_replayed: int
    several: int
    in_experiments: int


def compared_choices(logged: pd.DataFrame, replayed: pd.DataFrame) -> tuple[LoggedChoices, Replay]:
    """(the log as off-policy estimates take it, what the replay did beside it).

    The model of rewards is the policies' own `p_sale`, scaled to what came of the other half of the users.

    Args:
        logged: `LOGGED`, one row a push that was sent.
        replayed: `CHOICE`, one row a push that the challenger would have planned.

    Raises:
        RefusedError: Nothing can be compared, or chance had no say in what was logged.

    Examples:
        >>> days = pd.DataFrame({"plan_date": [1] * 4, "user_id": list("abcd"), "slot": "late",
        ...                      "item_id": list("xyxy"), "p_sale": 0.1})
        >>> log = days.assign(propensity=[0.9, 0.1, 0.9, 0.1], reward=[1.0, 0.0, 0.0, 0.0], experiment=None)
        >>> choices, told = compared_choices(log, days.assign(item_id="x"))
        >>> choices.target.tolist(), told.same, told.explored
        ([1.0, 0.0, 1.0, 0.0], 2, 2)
    """
    is_ours = logged["experiment"].isna()
    ours = logged[is_ours]
    once, again = (frame[~frame.duplicated(_DAY, keep=False)] for frame in (ours, replayed))
    both = once.merge(again, on=_DAY, suffixes=("", "_replayed"))
    if both.empty:
        raise RefusedError(
            "no user-day was pushed once by both the log and the challenger; take more days, or another arm."
        )
    if not (both["propensity"] < 1.0).any():
        raise RefusedError(
            "nothing in those plans was left to chance, so that they say nothing of other choices; set "
            "KAIROS_EXPLORATION_SHARE above 0 and wait some days."
        )
    same_slot = (both["slot"] == both["slot_replayed"]).to_numpy()
    same = same_slot & (both["item_id"] == both["item_id_replayed"]).to_numpy()
    unit = pd.factorize(both["user_id"], sort=True)[0].astype(np.int64)
    reward = both["reward"].to_numpy(dtype=np.float64)
    scale = _scale(reward, both["p_sale"].to_numpy(dtype=np.float64), unit)
    keys, keys_again = (pd.MultiIndex.from_frame(frame[_DAY].drop_duplicates()) for frame in (ours, replayed))
    return LoggedChoices(
        unit=unit,
        reward=reward,
        propensity=both["propensity"].to_numpy(dtype=np.float64),
        target=same.astype(np.float64),
        foretold=scale * both["p_sale"].to_numpy(dtype=np.float64),
        foretold_target=scale * both["p_sale_replayed"].to_numpy(dtype=np.float64),
    ), Replay(
        compared=len(both),
        same=int(same.sum()),
        same_slot=int(same_slot.sum()),
        explored=int((both["propensity"] < 0.5).sum()),
        only_logged=len(keys.difference(keys_again)),
        only_replayed=len(keys_again.difference(keys)),
        several=len(keys.intersection(keys_again)) - len(both),
        in_experiments=int((~is_ours).sum()),
    )


def _scale(reward: Doubles, p_sale: Doubles, unit: np.ndarray) -> Doubles:
    """For each row what a unit of `p_sale` was worth among the users of the other half; 0 where unknown."""
    half = unit % 2
    sums, told = np.bincount(half, reward, minlength=2), np.bincount(half, p_sale, minlength=2)
    worth = np.divide(sums, told, out=np.zeros(2), where=told > 0)
    return np.asarray(worth[1 - half])
