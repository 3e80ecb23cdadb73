"""Who is in which experiment and arm on a plan date, and the plan that says so of every push."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import UsageError
from models.experiments.assignment import HOLDOUT, assign, in_global_holdout
from models.experiments.split import Split
from models.plan_frames import Plan


@dataclass(frozen=True)
class Allocation:
    """The experiments that run, all of one layer: a push belongs to one at most.

    Attributes:
        holdout_share: Of all users, planned for and never pushed.
    """

    splits: tuple[Split, ...]
    holdout_share: float = 0.0

    def of(self, user_ids: Any) -> pd.DataFrame:
        """(experiment, arm, propensity, is_sent), one row a user, in order.

        Whoever is in no experiment has no arm and the propensity 1; whoever is held out of everything is in
        arm 'holdout' of no experiment.

        Raises:
            UsageError: Two experiments share users.

        Examples:
            >>> from models.experiments.split import Arm
            >>> split = Split("spring", "push", 0.0, 0.5, (Arm("control", 0.5), Arm("quiet", 0.5, False)))
            >>> Allocation((split,)).of(["1", "2", "7"])["arm"].tolist()
            [None, 'quiet', 'control']
        """
        ids = pd.Index(np.asarray(user_ids, dtype=object))
        unique = ids.unique()
        told = assign(unique.to_numpy(), self.splits, self.holdout_share)
        if told["unit_id"].duplicated().any():
            names = ", ".join(split.name for split in self.splits)
            raise UsageError(f"experiments {names} share users, must not; keep them in one layer.")
        rows = told.set_index("unit_id")[["experiment", "arm", "propensity", "is_sent"]].reindex(unique)
        held = in_global_holdout(unique.to_numpy(), self.holdout_share)
        in_none = rows["arm"].isna().to_numpy()
        filled = pd.DataFrame(
            {
                "experiment": _texts(rows["experiment"]),
                "arm": np.where(held, HOLDOUT, _texts(rows["arm"])),
                "propensity": np.where(in_none, 1.0, rows["propensity"].to_numpy(dtype=np.float64)),
                "is_sent": ~held & (in_none | rows["is_sent"].eq(True).to_numpy()),
            },
            index=unique,
        )
        return filled.loc[ids].reset_index(drop=True)

    def assigned(self, user_ids: Any, experiment: str) -> pd.DataFrame:
        """(unit_id, arm, propensity) of the users whom the experiment takes."""
        split = next(split for split in self.splits if split.name == experiment)
        told = assign(np.asarray(user_ids, dtype=object), (split,), self.holdout_share)
        return told[["unit_id", "arm", "propensity"]]


@dataclass(frozen=True)
class ArmUsers:
    """The users of some arms; used as `features.user_parts.UserPart` is.

    Attributes:
        arms: (experiment, arm).
        is_rest: Everybody but those.
    """

    allocation: Allocation
    arms: tuple[tuple[str, str], ...]
    is_rest: bool = False

    @property
    def is_everyone(self) -> bool:
        """Whether nobody is left out."""
        return False

    def holds(self, user_ids: Any) -> NDArray[np.bool_]:
        """Whether each user is one of them."""
        told = self.allocation.of(user_ids)
        of_arms = pd.MultiIndex.from_frame(told[["experiment", "arm"]]).isin(list(self.arms))
        return np.asarray(~of_arms if self.is_rest else of_arms, dtype=bool)

    def of(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The rows of `rows` whose `user_id` is one of them."""
        return rows[self.holds(rows["user_id"])].reset_index(drop=True)


def with_arms(plan: Plan, allocation: Allocation) -> Plan:
    """The plan with each push's experiment and arm; pushes of unsent arms and of the holdout stay unsent.

    A push's propensity becomes the chance that this user got this arm and that chance, where it had a say,
    chose this push.
    """
    told = allocation.of(plan.pushes["user_id"])
    unsent = ~told["is_sent"].to_numpy(dtype=bool)
    pushes = plan.pushes.assign(
        experiment=told["experiment"].to_numpy(),
        arm=told["arm"].to_numpy(),
        holdout=unsent,
        propensity=plan.pushes["propensity"].to_numpy() * told["propensity"].to_numpy(),
    )
    counts = {"pushes_unsent": int(unsent.sum())}
    for split in allocation.splits:
        counts[f"pushes_of_{split.name}"] = int(told["experiment"].eq(split.name).sum())
    return replace(plan, pushes=pushes, summary=plan.summary | counts)


def _texts(column: pd.Series) -> NDArray[np.object_]:
    cells = column.to_numpy(dtype=object).copy()
    cells[column.isna().to_numpy()] = None
    return cells
