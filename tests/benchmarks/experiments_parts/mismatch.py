"""Sample-ratio mismatch: whether 1 % lost in one arm is seen, and how often arms in order are called."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from models.experiments.assignment import arm_codes
from models.experiments.split import Arm, Split
from monitoring.experiments.ratio_mismatch import counts_only_detection, ratio_mismatch
from tests.benchmarks.experiments_parts.many import how_many, simulated
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_USERS, _DAYS, _LOSS = 200_000, 28, 0.01
_USUAL_LOSS = 0.03
_ARMS = ("control", "new")


def alarms(seed: int, number: int) -> tuple[bool, bool]:
    """(whether 1 % more lost in one arm is seen by the last day, whether it is called with no more lost)."""
    rng = np.random.default_rng([seed, number])
    split = Split(f"experiment {seed} {number}", "timing", 0.0, 1.0, tuple(Arm(arm, 0.5) for arm in _ARMS))
    arm = arm_codes(_UNITS, split)
    came_on = np.minimum(rng.random(_USERS) * _DAYS, _DAYS - 1e-9).astype(int)
    assigned = _daily(arm, came_on)
    kept = rng.random(_USERS)
    in_order = _daily(arm[kept >= _USUAL_LOSS], came_on[kept >= _USUAL_LOSS])
    lost = kept < np.where(arm == 1, _USUAL_LOSS + _LOSS, _USUAL_LOSS)
    short = _daily(arm[~lost], came_on[~lost])
    return _is_called(assigned, short), _is_called(assigned, in_order)


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """Detection and false alarms over daily checks."""
    del folder
    count = how_many(effort, 2_000)
    found = np.array(simulated(alarms, (), count, effort, say, "arms of 100,000"), dtype=float)
    detection, false_alarms = found.mean(axis=0).tolist()
    alone = counts_only_detection(_USERS, _LOSS)
    table = Table(box=None, pad_edge=False)
    for name in ("1 % lost in one arm, seen", "by counts alone, once, at 0.005", "in order, called wrong"):
        table.add_column(name, justify="right")
    table.add_row(f"{detection:.4f}", f"{alone:.4f}", f"{false_alarms:.4f}")
    return Found(
        {
            "srm_detection": detection,
            "srm_false_alarms": false_alarms,
            "mismatch": {"experiments": count, "detection_by_counts_alone": alone},
        },
        f"{detection:.1%} seen, {false_alarms:.2%} false alarms over {_DAYS} daily checks",
        (table,),
        (
            f"{count:,} experiments of {_USERS:,} users, assigned by the hash; {_USUAL_LOSS:.0%} are lost in "
            "either arm anyway",
            f"a chi-square of the arms' counts alone sees {alone:.0%}: what makes the difference is that "
            "who was assigned is on record",
        ),
    )


def _daily(arm: NDArray[np.int64], came_on: NDArray[np.int64]) -> NDArray[np.int64]:
    """Units by day and arm, so far."""
    return np.bincount(came_on * 2 + arm, minlength=_DAYS * 2).reshape(_DAYS, 2).cumsum(axis=0)


def _is_called(assigned: NDArray[np.int64], found: NDArray[np.int64]) -> bool:
    days = enumerate(zip(assigned.tolist(), found.tolist(), strict=True), start=1)
    return any(ratio_mismatch(_ARMS, (0.5, 0.5), had, got, look=day).is_mismatch for day, (had, got) in days)


_UNITS = np.array([f"user-{unit}" for unit in range(_USERS)], dtype=object)

PART = Part(
    "mismatch", measure, {"srm_detection": ("at least", 0.95), "srm_false_alarms": ("at most", 0.005)}
)
