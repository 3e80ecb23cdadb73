"""Units with what became of them: exposures and outcomes joined over each unit's window, as of a moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import ContractError, RefusedError
from monitoring.experiments.adaptive import adaptive_difference, adaptive_mean
from monitoring.experiments.cuped import Difference, covariates, difference, moments
from monitoring.experiments.design import Design
from monitoring.experiments.metrics import Doubles, Metric

PROPENSITY = "propensity:"
"""Before an arm's name: the chance a unit had of that arm. Needed where shares move."""


@dataclass(frozen=True)
class UnitTable:
    """Assigned units, one entry a unit.

    Attributes:
        arm: Its number in the design.
        assigned_at, exposed_at: UTC; NaT where no exposure is on record.
        is_over: Whether its window and the time for late events are over.
        sums: Outcome -> the sum over the unit's window, as far as it is known.
        past: Covariate -> the unit's value before, NaN without a past.
        propensities: Arm -> the chance it had of it; empty where shares do not move.
        labels: Column -> the unit's slice, as its slot or scene.
    """

    arm: NDArray[np.intp]
    assigned_at: NDArray[np.datetime64]
    exposed_at: NDArray[np.datetime64]
    is_over: NDArray[np.bool_]
    sums: Mapping[str, Doubles]
    past: Mapping[str, Doubles]
    propensities: Mapping[str, Doubles]
    labels: Mapping[str, NDArray[np.object_]] = field(default_factory=dict)

    def as_of(self, design: Design, as_of: datetime) -> UnitTable:
        """The table of units as it was earlier, if every window that is over then was over by now.

        Windows that are not over keep their later sums, so only what `is_over` may be judged.
        """
        known = self.assigned_at < _instant(as_of)
        cut = rows_of(self, known)
        later = ~(cut.exposed_at < _instant(as_of))
        exposed = np.where(later, np.datetime64("NaT", "us"), cut.exposed_at)
        return replace(cut, exposed_at=exposed, is_over=_is_over(exposed, design, as_of))

    def information(self, design: Design) -> float:
        """Units whose window is over as a part of those planned, of the arm with least.

        Where shares move an arm may well get few, which is what moving them is for: all arms' count together.
        """
        if design.is_adaptive:
            return float(self.is_over.sum()) / design.planned_units
        over = np.bincount(self.arm[self.is_over], minlength=len(design.split.arms)).astype(np.float64)
        if not over.all():
            return 0.0
        return min(
            float(over[code] * over[0] / (over[code] + over[0])) / design.planned_information(arm)
            for code, arm in enumerate(design.treatments, start=1)
        )

    def counts(
        self, design: Design, as_of: datetime, after_days: float
    ) -> tuple[list[float], list[int], list[int]]:
        """(expected shares, units assigned, found of them) by arm, of units assigned at least so long ago."""
        due = self.assigned_at <= _instant(as_of) - _days(after_days)
        found = due & ~np.isnat(self.exposed_at)
        arms = design.split.arms
        moved = bool(self.propensities) and due.any()
        return (
            [float(self.propensities[arm.name][due].mean()) if moved else arm.share for arm in arms],
            np.bincount(self.arm[due], minlength=len(arms)).tolist(),
            np.bincount(self.arm[found], minlength=len(arms)).tolist(),
        )


def unit_table(
    design: Design,
    exposures: pd.DataFrame,
    outcomes: pd.DataFrame,
    as_of: datetime,
    slices: Sequence[str] = (),
) -> UnitTable:
    """The table of the experiment's units as of a moment.

    Args:
        exposures: (unit_id, arm, assigned_at, exposed_at) and the covariates, one row an assigned unit.
            `exposed_at` is when its push was sent or, in an unsent arm, planned to be; a unit to which its
            arm's policy sends nothing was exposed to that silence when it was planned. Null means that
            nothing is on record, and counts as lost. Rows assigned at or after `as_of` are ignored.
        outcomes: (unit_id, outcome_ts) and the metrics' columns, any number of rows a unit. What lies before
            the exposure, after its window or at or after `as_of` does not count.
        slices: Columns of `exposures` that were known at assignment, as slot or device, to explore by.

    Raises:
        ContractError: A missing column, an unknown arm, a unit twice.
    """
    _check(design, exposures, outcomes, slices)
    known = exposures[_instants(exposures["assigned_at"]) < _instant(as_of)]
    exposed = _instants(known["exposed_at"])
    exposed[~(exposed < _instant(as_of))] = np.datetime64("NaT", "us")
    names = [arm.name for arm in design.split.arms]
    sums = _sums(design, known["unit_id"], exposed, outcomes, as_of)
    past = sorted({metric.covariate for metric in design.metrics if metric.covariate is not None})
    return UnitTable(
        arm=np.asarray(pd.Index(names).get_indexer(pd.Index(known["arm"])), dtype=np.intp),
        assigned_at=_instants(known["assigned_at"]),
        exposed_at=exposed,
        is_over=_is_over(exposed, design, as_of),
        sums=sums,
        past={name: known[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in past},
        propensities={
            arm: known[PROPENSITY + arm].to_numpy(dtype=np.float64)
            for arm in (names if design.is_adaptive else ())
        },
        labels={name: known[name].to_numpy(dtype=object) for name in slices},
    )


def compared(table: UnitTable, metric: Metric, arm: int, design: Design) -> Difference:
    """An arm minus the control, over the units whose window is over.

    Raises:
        RefusedError: Too few units, or too few with anything but 0, to judge a mean by.
    """
    in_arm, in_control = (table.is_over & (table.arm == code) for code in (arm, 0))
    counted = metric.numerators(table.sums[metric.column])
    units, nonzero = int(min(in_arm.sum(), in_control.sum())), int((counted[in_arm | in_control] != 0).sum())
    if units < design.least_units:
        raise RefusedError(
            f"{metric.name}: {units:,} units of an arm whose window is over, must be >= "
            f"{design.least_units:,}; wait"
        )
    if nonzero < design.least_nonzero:
        raise RefusedError(
            f"{metric.name}: {nonzero:,} units with any, must be >= {design.least_nonzero:,} to judge a mean"
        )
    if design.is_adaptive:
        return _adaptive(table, metric, arm, design)
    values = [
        metric.values({name: table.sums[name][rows] for name in metric.columns})
        for rows in (in_arm, in_control)
    ]
    both = in_arm | in_control
    past = None if metric.covariate is None else table.past[metric.covariate][both]
    known = covariates(past, int(both.sum()))
    try:
        return difference(
            moments(values[0], known[in_arm[both]]), moments(values[1], known[in_control[both]])
        )
    except RefusedError as refused:
        raise RefusedError(f"{metric.name}: {refused}") from None


def _adaptive(table: UnitTable, metric: Metric, arm: int, design: Design) -> Difference:
    if metric.per is not None:
        raise RefusedError(f"{metric.name}: a ratio cannot be corrected for shares that move; measure a mean")
    over = table.is_over
    values = metric.numerators(table.sums[metric.column][over])
    batch = table.assigned_at[over].astype("datetime64[D]").astype(np.int64)
    means = [
        adaptive_mean(
            values, table.arm[over] == code, table.propensities[design.split.arms[code].name][over], batch
        )
        for code in (arm, 0)
    ]
    return adaptive_difference(*means)


def _check(design: Design, exposures: pd.DataFrame, outcomes: pd.DataFrame, slices: Sequence[str]) -> None:
    past = {metric.covariate for metric in design.metrics if metric.covariate is not None}
    chances = {PROPENSITY + arm.name for arm in design.split.arms} if design.is_adaptive else set()
    for name, frame, wanted in (
        (
            "exposures",
            exposures,
            {"unit_id", "arm", "assigned_at", "exposed_at"} | past | chances | set(slices),
        ),
        ("outcomes", outcomes, {"unit_id", "outcome_ts"} | {c for m in design.metrics for c in m.columns}),
    ):
        missing = sorted(wanted - set(frame.columns))
        if missing:
            told = ", ".join(map(str, frame.columns))
            raise ContractError(f"{name} has no column {missing[0]!r}, found {told}; add it to the query.")
    strange = sorted(set(exposures["arm"].unique()) - {arm.name for arm in design.split.arms})
    if strange:
        told = ", ".join(arm.name for arm in design.split.arms)
        raise ContractError(f"exposures: arm == {strange[0]!r}, must be one of {told}; correct the record.")
    twice = exposures["unit_id"].duplicated()
    if twice.any():
        unit = exposures.loc[twice, "unit_id"].iloc[0]
        raise ContractError(
            f"exposures: unit {unit!r} is there twice, must be once; keep its first assignment."
        )


def _sums(
    design: Design,
    units: pd.Series,
    exposed: NDArray[np.datetime64],
    outcomes: pd.DataFrame,
    as_of: datetime,
) -> dict[str, Doubles]:
    if not len(units):
        outcomes = outcomes[:0]
    row = pd.Index(units).get_indexer(pd.Index(outcomes["unit_id"]))
    at = _instants(outcomes["outcome_ts"])
    begins = exposed[row]
    counts = (row >= 0) & (at >= begins) & (at < begins + _days(design.window_days)) & (at < _instant(as_of))
    row = row[counts]
    columns = sorted({column for metric in design.metrics for column in metric.columns})
    return {
        column: np.asarray(
            np.bincount(
                row,
                weights=np.nan_to_num(outcomes[column].to_numpy(dtype=np.float64, na_value=0.0)[counts]),
                minlength=len(units),
            ),
            dtype=np.float64,
        )
        for column in columns
    }


def _is_over(exposed: NDArray[np.datetime64], design: Design, as_of: datetime) -> NDArray[np.bool_]:
    return np.asarray(exposed + _days(design.window_days + design.settling_days) <= _instant(as_of))


def rows_of(table: UnitTable, rows: NDArray[np.bool_]) -> UnitTable:
    """The table of these units only."""
    return UnitTable(
        table.arm[rows],
        table.assigned_at[rows],
        table.exposed_at[rows],
        table.is_over[rows],
        {name: values[rows] for name, values in table.sums.items()},
        {name: values[rows] for name, values in table.past.items()},
        {name: values[rows] for name, values in table.propensities.items()},
        {name: values[rows] for name, values in table.labels.items()},
    )


def _instants(values: pd.Series) -> NDArray[np.datetime64]:
    told = values if isinstance(values.dtype, pd.DatetimeTZDtype) else pd.to_datetime(values, utc=True)
    return told.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy(dtype="datetime64[us]").copy()


def _instant(at: datetime) -> np.datetime64:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")


def _days(days: float) -> np.timedelta64:
    return np.timedelta64(round(days * 86_400_000_000), "us")
