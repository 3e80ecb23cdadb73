"""Drift: does what the model scores today still look like what it scored when it was made?

Named columns only, each with a method and thresholds of its own: an effect size, never a p-value, because
with enough rows every difference is significant. Thresholds do not transfer between methods.

Source: computed by Evidently's ValueDrift on a deterministic sample; its ranking metrics are not used (their
labels are off by one). Evidently drops nulls, so the share of nulls is a check of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from features.errors import KairosError
from monitoring.drift_page import page_with_summary
from monitoring.drift_values import Method, comparable, measured

Verdict = Literal["pass", "warn", "fail"]
_NULLS: Method = "null_share"


@dataclass(frozen=True)
class DriftCheck:
    """One measure of one column.

    Attributes:
        column: Of both frames.
        method: wasserstein: mean distance in reference standard deviations (numbers); psi: population
            stability index (numbers, categories); jensenshannon: distance in 0..0.83 (categories);
            null_share: absolute change of the share of nulls.
        threshold: From here on the column has drifted; None takes `DEFAULT_THRESHOLDS`.
        hard_threshold: From here on a gating column fails the report alone; None takes the default.
        gating: Whether a failure may block a promotion; others only warn.
    """

    column: str
    method: Method
    threshold: float | None = None
    hard_threshold: float | None = None
    gating: bool = True

    @property
    def limits(self) -> tuple[float, float]:
        """(threshold, hard threshold)."""
        soft, hard = DEFAULT_THRESHOLDS[self.method]
        return (
            soft if self.threshold is None else self.threshold,
            hard if self.hard_threshold is None else self.hard_threshold,
        )


DEFAULT_THRESHOLDS: dict[Method, tuple[float, float]] = {
    "wasserstein": (0.15, 0.5),
    "psi": (0.1, 0.25),
    "jensenshannon": (0.1, 0.3),
    "null_share": (0.05, 0.2),
}


@dataclass(frozen=True)
class DriftParams:
    """When single columns make the report fail.

    Attributes:
        max_drifted_share: Share of gating columns that may drift before the report fails.
    """

    max_drifted_share: float = 0.3


@dataclass(frozen=True)
class ColumnDrift:
    """What was measured for one check.

    Attributes:
        name: The column.
        method: As asked for, or 'jensenshannon' where the reference is constant.
        value: The effect size, in the method's units.
        threshold: The limit that decided: the hard one for a failure, else the soft one.
        verdict: 'warn' drifted; 'fail' drifted beyond the hard limit of a gating column.
        gating: Whether it counts for a failure.
        detail: What else should be known, or ''.
    """

    name: str
    method: str
    value: float
    threshold: float
    verdict: Verdict
    gating: bool
    detail: str = ""

    @property
    def words(self) -> str:
        """As the gate quotes it: 'item_price wasserstein 0.61 >= 0.50'."""
        sign = "<" if self.verdict == "pass" else ">="
        return f"{self.name} {self.method} {self.value:.3f} {sign} {self.threshold:g}" + (
            f" ({self.detail})" if self.detail else ""
        )


@dataclass(frozen=True)
class DriftResult:
    """The report: every check, one verdict, and a page that needs no network.

    Attributes:
        snapshot: The same as Evidently's own UI reads it, JSON; empty where it measured nothing.
    """

    columns: tuple[ColumnDrift, ...]
    verdict: Verdict
    html: str
    rows_reference: int
    rows_current: int
    snapshot: str = ""

    @property
    def failed_columns(self) -> tuple[str, ...]:
        """What drove a failure, in words; without one, empty."""
        if self.verdict != "fail":
            return ()
        return tuple(one.words for one in self.columns if one.gating and one.verdict != "pass")


def standard_checks(
    reference: pd.DataFrame, columns: Iterable[str], gating: Iterable[str] | None = None
) -> tuple[DriftCheck, ...]:
    """Two checks a column: its distribution, by a method that suits its type, and its share of nulls.

    Numbers with more than 20 distinct values are compared by Wasserstein distance, all else by
    Jensen-Shannon distance over categories.

    Args:
        reference: Decides the types.
        columns: Which columns, in this order.
        gating: Those that may block; None lets all block.

    Examples:
        >>> frame = pd.DataFrame({"price": np.arange(30.0), "kind": ["a", "b"] * 15})
        >>> [(check.column, check.method) for check in standard_checks(frame, ["price", "kind"])]
        [('price', 'wasserstein'), ('price', 'null_share'), ('kind', 'jensenshannon'), ('kind', 'null_share')]
    """
    blocking = None if gating is None else set(gating)
    checks = []
    for column in columns:
        values = reference[column]
        is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        method: Method = "wasserstein" if is_number and values.nunique() > 20 else "jensenshannon"
        may_block = blocking is None or column in blocking
        checks += [DriftCheck(column, kind, gating=may_block) for kind in (method, _NULLS)]
    return tuple(checks)


def drift_report(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    checks: tuple[DriftCheck, ...],
    sample_rows: int = 5_000,
    seed: int = 0,
    params: DriftParams | None = None,
) -> DriftResult:
    """How far `current` is from `reference`, column by column; the same inputs give the same values.

    The verdict is 'fail' when a gating column passes its hard threshold or too large a share of gating
    columns has drifted, 'warn' when any column has drifted, else 'pass'.

    Args:
        reference: What the model scored when it was made.
        current: What it scores now.
        checks: Which columns, how, and with which limits.
        sample_rows: Rows drawn from each frame for Evidently; null shares use all rows.
        seed: Of the draw.
        params: Limits over all columns.

    Raises:
        KairosError: No checks, an empty frame, a column that a frame lacks or that has no numbers.
    """
    params = params or DriftParams()
    _check_inputs(reference, current, checks)
    samples = _sample(reference, sample_rows, seed), _sample(current, sample_rows, seed)
    found = {check: _without_evidently(check, reference, current) for check in checks}
    asked = [check for check, one in found.items() if one is None]
    pairs = [comparable(samples[0][check.column], samples[1][check.column], check.method) for check in asked]
    values, page, snapshot = measured(pairs)
    for check, pair, value in zip(asked, pairs, values, strict=True):
        found[check] = _judged(check, pair.method, value, pair.detail)
    columns = tuple(one for one in found.values() if one is not None)
    verdict = _overall(columns, params)
    rows = [
        (one.name, one.method, one.value, one.threshold, one.verdict, one.gating, one.detail)
        for one in columns
    ]
    html = page_with_summary(page, verdict, rows, len(reference), len(current))
    return DriftResult(columns, verdict, html, len(reference), len(current), snapshot)


def _check_inputs(reference: pd.DataFrame, current: pd.DataFrame, checks: tuple[DriftCheck, ...]) -> None:
    if not checks:
        raise KairosError("no drift checks are named; name at least one column.")
    if len(set(checks)) != len(checks):
        raise KairosError("a drift check is named twice; name each column and method once.")
    for name, frame in (("reference", reference), ("current", current)):
        if len(frame) == 0:
            raise KairosError(f"the {name} frame has no rows; drift cannot be told.")
        for check in checks:
            if check.column not in frame:
                raise KairosError(
                    f"the {name} frame lacks column {check.column!r}; drop the check or add it."
                )
            if check.method == "wasserstein" and not pd.api.types.is_numeric_dtype(frame[check.column]):
                raise KairosError(
                    f"{check.column} has type {frame[check.column].dtype} in the {name} frame, wasserstein "
                    "needs numbers; use jensenshannon."
                )


def _sample(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    if len(frame) <= rows:
        return frame.reset_index(drop=True)
    chosen = np.sort(np.random.default_rng(seed).choice(len(frame), rows, replace=False))
    return frame.iloc[chosen].reset_index(drop=True)


def _without_evidently(
    check: DriftCheck, reference: pd.DataFrame, current: pd.DataFrame
) -> ColumnDrift | None:
    """The result of what needs no distribution: null shares, and columns without any value."""
    before, now = (float(frame[check.column].isna().mean()) for frame in (reference, current))
    if check.method == _NULLS:
        return _judged(check, _NULLS, abs(now - before), f"{before:.1%} then, {now:.1%} now")
    if before == now == 1.0:
        return _judged(check, check.method, 0.0, "null throughout, then and now")
    if before == 1.0 or now == 1.0:
        when = "then" if before == 1.0 else "now"
        return _judged(check, check.method, max(1.0, check.limits[1]), f"null throughout {when}")
    return None


def _judged(check: DriftCheck, method: Method, value: float, detail: str) -> ColumnDrift:
    soft, hard = check.limits if method == check.method else DEFAULT_THRESHOLDS[method]
    if check.gating and value >= hard:
        return ColumnDrift(check.column, method, value, hard, "fail", True, detail)
    verdict: Verdict = "warn" if value >= soft else "pass"
    return ColumnDrift(check.column, method, value, soft, verdict, check.gating, detail)


def _overall(columns: tuple[ColumnDrift, ...], params: DriftParams) -> Verdict:
    gating = {one.name for one in columns if one.gating}
    drifted = {one.name for one in columns if one.gating and one.verdict != "pass"}
    if any(one.verdict == "fail" for one in columns):
        return "fail"
    if gating and len(drifted) / len(gating) > params.max_drifted_share:
        return "fail"
    return "warn" if any(one.verdict != "pass" for one in columns) else "pass"
