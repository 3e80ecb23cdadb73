"""Which experiments a unit is in, and which arm: by hash, so that it is the same again unstored.

Three draws under three salts: of the platform, whether a unit is held out of everything; of the layer, which
experiment owns it; of the experiment, which arm it falls to. So two experiments of a layer share no unit,
two of different layers cross evenly, and who was in an arm of the last experiment of a layer is spread evenly
over the arms of the next. Only eligible units are given: eligibility is decided before the draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from features.errors import UsageError
from models.experiments.hashing import Doubles, places
from models.experiments.split import Split

HOLDOUT = "holdout"
COLUMNS = ("unit_id", "experiment", "layer", "arm", "propensity", "is_sent")


def in_global_holdout(unit_ids: Any, share: float) -> np.ndarray:
    """Whether each unit is held out of every push and every experiment.

    A larger share keeps everybody whom a smaller one held out.

    Raises:
        UsageError: `share` is not in [0, 1).
    """
    if not 0.0 <= share < 1.0:
        raise UsageError(f"global holdout share == {share:g}, must be in [0, 1); correct it.")
    return np.asarray(places(unit_ids, HOLDOUT) < share)


def arm_codes(unit_ids: Any, split: Split) -> np.ndarray:
    """The number of each unit's arm, -1 for units that the experiment does not take.

    Growing the range keeps every unit in its arm; changing the arms' shares does not, see `assign`. Where
    shares move, a unit's are those of its wave, which never change; until that has come it is in none.

    Examples:
        >>> from models.experiments.split import Arm
        >>> split = Split("spring", "timing", 0.0, 1.0, (Arm("control", 0.5), Arm("evening", 0.5)))
        >>> arm_codes(["u1", "u2", "u3", "u4"], split).tolist()
        [1, 1, 1, 0]
    """
    at = places(unit_ids, f"arm|{split.name}")
    if split.waves:
        shares = unit_shares(unit_ids, split)
        has_come = ~np.isnan(shares[:, 0])
        arm = (at[:, None] >= np.cumsum(shares, axis=1)[:, :-1]).sum(axis=1)
        arm = np.where(has_come, arm, -1)
    else:
        arm = np.searchsorted(np.cumsum([one.share for one in split.arms])[:-1], at, side="right")
    if (split.starts_at, split.ends_at) == (0.0, 1.0):
        return np.asarray(arm)
    in_layer = places(unit_ids, f"layer|{split.layer}")
    return np.where((in_layer >= split.starts_at) & (in_layer < split.ends_at), arm, -1)


def unit_shares(unit_ids: Any, split: Split) -> Doubles:
    """Each unit's chances of the arms, units x arms; NaN for units whose wave has not come.

    Examples:
        >>> from models.experiments.split import Arm
        >>> arms = (Arm("control", 0.2), Arm("a", 0.4), Arm("b", 0.4))
        >>> moved = Split("spring", "push", 0.0, 1.0, arms, 2, ((0.2, 0.4, 0.4), (0.2, 0.1, 0.7)))
        >>> unit_shares(["u1", "u2", "u3", "u4"], moved)[:, 2].tolist()
        [0.4, 0.4, 0.4, 0.4]
    """
    declared = np.array([arm.share for arm in split.arms])
    if not split.waves:
        return np.broadcast_to(declared, (len(unit_ids), len(declared)))
    wave = (places(unit_ids, f"wave|{split.name}") * split.waves).astype(np.int64)
    known = np.full((split.waves, len(declared)), np.nan)
    known[: len(split.wave_shares)] = np.reshape(split.wave_shares, (-1, len(declared)))
    return np.asarray(known[wave])


def assign(
    unit_ids: Sequence[str] | Doubles | pd.Series,
    splits: Sequence[Split],
    holdout_share: float = 0.0,
    recorded: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """The arms of the units, one row a unit and experiment that takes it; units in the holdout have none.

    Args:
        unit_ids: Eligible units, each once.
        splits: The experiments that run; those of one layer must not overlap.
        holdout_share: Of all units, held out of everything.
        recorded: (unit_id, experiment, arm, propensity) of earlier assignments. A unit keeps its arm and the
            chance it had of it, even where the shares have changed since.

    Returns:
        COLUMNS; `propensity` is the chance that a unit of the experiment falls to that arm.

    Raises:
        UsageError: Two experiments of a layer overlap, or have one name.
    """
    _check_apart(splits)
    ids = np.asarray(unit_ids, dtype=object)
    ids = ids[~in_global_holdout(ids, holdout_share)]
    frames = [_assigned(ids, split) for split in splits]
    told = pd.concat(frames, ignore_index=True) if frames else _assigned(ids[:0], None)
    return told if recorded is None or recorded.empty else _kept(told, recorded, splits)


def _check_apart(splits: Sequence[Split]) -> None:
    for place, one in enumerate(splits):
        for other in splits[:place]:
            if one.name == other.name:
                raise UsageError(f"experiment {one.name!r} is there twice, must be once; rename one.")
            overlap = min(one.ends_at, other.ends_at) - max(one.starts_at, other.starts_at)
            if one.layer == other.layer and overlap > 0:
                raise UsageError(
                    f"experiments {other.name!r} and {one.name!r} share {overlap:.1%} of layer "
                    f"{one.layer!r}, must share nothing; move or shrink one."
                )


def _assigned(ids: np.ndarray, split: Split | None) -> pd.DataFrame:
    codes = arm_codes(ids, split) if split is not None else np.full(len(ids), -1)
    taken = codes >= 0
    arms = split.arms if split is not None else ()
    return pd.DataFrame(
        {
            "unit_id": ids[taken],
            "experiment": split.name if split is not None else "",
            "layer": split.layer if split is not None else "",
            "arm": np.array([arm.name for arm in arms], dtype=object)[codes[taken]],
            "propensity": _chances(ids[taken], split)[np.arange(int(taken.sum())), codes[taken]],
            "is_sent": np.array([arm.is_sent for arm in arms], dtype=bool)[codes[taken]],
        },
        columns=list(COLUMNS),
    )


def _chances(ids: np.ndarray, split: Split | None) -> np.ndarray:
    return np.zeros((0, 1)) if split is None else unit_shares(ids, split)


def _kept(told: pd.DataFrame, recorded: pd.DataFrame, splits: Sequence[Split]) -> pd.DataFrame:
    before = recorded[["unit_id", "experiment", "arm", "propensity"]]
    both = told.merge(before, on=["unit_id", "experiment"], how="left", suffixes=("", "_before"))
    known = both["arm_before"].notna()
    both["arm"] = both["arm"].where(~known, both["arm_before"])
    both["propensity"] = both["propensity"].where(~known, both["propensity_before"])
    sent = {(split.name, arm.name): arm.is_sent for split in splits for arm in split.arms}
    pairs = zip(both["experiment"], both["arm"], strict=True)
    both["is_sent"] = [sent.get(pair, False) for pair in pairs]
    return both[list(COLUMNS)]
