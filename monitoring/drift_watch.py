"""The verdict on a period: every column and slice against its season's past, with limits from that past.

All rows are counted; nothing is sampled. What is told of a slice is only what the whole does not tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from monitoring.drift_bins import ColumnBins
from monitoring.drift_counts import EVERYTHING, PeriodCounts, SliceCounts, together
from monitoring.drift_distance import jensenshannon, null_share, wasserstein
from monitoring.drift_finding import LEVEL, ROWS, SILENCE, Finding, Verdict, WatchResult
from monitoring.drift_limits import Check, LimitParams, calibrated_limits
from monitoring.drift_season import Season, SeasonParams, like
from monitoring.levels import Level, LevelParams, levels
from monitoring.silence import Silence, SilenceParams, silences

SlicesCounted = Mapping[str, SliceCounts]

LEAST_EFFECTS: Mapping[str, float] = {
    "wasserstein": 0.15,
    "jensenshannon": 0.1,
    "null_share": 0.05,
    "rows": 0.4,
}
"""Smaller effects are no drift, however sure; rows by the logarithm of the ratio (0.4: a third fewer)."""
_NEARLY_ALL = 0.98
FAILS_BEYOND = 2.0
"""Times the limit from which on a drift fails rather than warns."""


@dataclass(frozen=True)
class WatchParams:
    """How a period is judged.

    Attributes:
        least_visits: Slices with so many visits a period are counted: smaller ones rest some days anyway.
        least_rows: Of slices with fewer, now or usually, only the number is looked at: a few rows have no
            distribution.
        most_slices: Only so many of the largest slices are looked at.
        watches_rows: Whether the number of rows is looked at.
        rows_per_visit: Rows come together, as the lines of a basket do: so many make one event of chance.
        hourly: Columns, also as slices, that tell the hour; on a feast, when a shop keeps other hours, they
            say nothing.
        max_drifted_share: More of the whole's columns than this: the whole has failed.
    """

    season: SeasonParams = field(default_factory=SeasonParams)
    limits: LimitParams = field(default_factory=LimitParams)
    silence: SilenceParams = field(default_factory=SilenceParams)
    level: LevelParams = field(default_factory=LevelParams)
    least_visits: float = 25.0
    least_rows: int = 200
    most_slices: int = 40
    watches_rows: bool = True
    rows_per_visit: float = 1.0
    hourly: tuple[str, ...] = ("daypart", "local_hour", "label_daypart")
    max_drifted_share: float = 0.3


def watch_period(
    day: date,
    current: PeriodCounts,
    history: Mapping[date, PeriodCounts],
    seasons: Mapping[date, Season],
    bins: Sequence[ColumnBins],
    params: WatchParams | None = None,
) -> WatchResult:
    """The verdict on a day beside the days of its season; limits come from how such days differ anyway.

    Args:
        day: Of `current`; only earlier days of `history` are looked at.
        history: Counts of past days over the same bins.
        seasons: Of `day` and of every day of `history`.

    Returns:
        Without a single day to compare with: no findings, and 'warn'.
    """
    params = params or WatchParams()
    known = {one: seasons[one] for one in history if one < day}
    days = like(day, known, seasons[day], params.season)
    past = []
    for one in sorted(known, reverse=True)[: params.season.oldest_days]:
        before = like(one, known, known[one], params.season)
        if len(before) >= params.season.least:
            past.append((history[one], [history[other] for other in before]))
    judged = _judged(current, [history[one] for one in days], past, bins, params, days)
    if not params.watches_rows or not days:
        return judged
    known_now = {**history, day: current}
    found = silences(day, known_now, seasons, params.rows_per_visit, params.season, params.silence)
    findings = (*judged.findings, *map(_silent, found))
    if seasons[day].is_feast:
        findings = tuple(one for one in findings if not _is_hourly(one, params.hourly))
    else:
        moved = levels(day, known_now, seasons, bins, params.season, params.level)
        findings = (*findings, *map(_moved, moved))
    return WatchResult(findings, _overall(findings, params), days)


def watch_against(
    current: PeriodCounts,
    reference: Mapping[date, PeriodCounts],
    bins: Sequence[ColumnBins],
    params: WatchParams | None = None,
) -> WatchResult:
    """The verdict beside periods that are alike already; limits come from each beside the others."""
    params = params or WatchParams()
    days = tuple(sorted(reference, reverse=True))
    past = [
        (reference[one], [reference[other] for other in days if other != one])
        for one in days
        if len(days) > 1
    ]
    return _judged(current, [reference[one] for one in days], past, bins, params, days)


def _judged(
    current: PeriodCounts,
    periods: Sequence[PeriodCounts],
    past: Sequence[tuple[PeriodCounts, Sequence[PeriodCounts]]],
    bins: Sequence[ColumnBins],
    params: WatchParams,
    days: tuple[date, ...],
) -> WatchResult:
    """The verdict on `current` beside `periods`; `past` are (a period, what it is measured against)."""
    if not periods:
        return WatchResult((), "warn", ())
    reference = together(periods)
    names = _slices(reference, len(periods), params)

    def distances(one: PeriodCounts, usual: SlicesCounted, count: int) -> dict[Check, float]:
        return _distances(one, usual, count, bins, names, params)

    measured = distances(current, reference, len(periods))
    earlier: dict[Check, list[float]] = {check: [] for check in measured}
    for one, others in past:
        for check, value in distances(one, together(others, names), len(others)).items():
            if check in earlier:
                earlier[check].append(value)
    least = {check: _least_effect(check) for check in measured}
    limits = calibrated_limits(earlier, least, (ROWS,), params.limits)
    rate = params.limits.false_alarm_rate / max(len(measured), 1)
    findings = tuple(
        _finding(check, value, limits[check], current, reference, len(periods))
        for check, value in measured.items()
        if not (
            check[2] == ROWS and _is_chance(check[0], value, current, reference, len(periods), params, rate)
        )
    )
    return WatchResult(findings, _overall(findings, params), days)


def _silent(one: Silence) -> Finding:
    verdict = _verdict(one.surprise, one.limit)
    return Finding(one.slice, ROWS, SILENCE, one.surprise, one.limit, verdict, one.words)


def _moved(one: Level) -> Finding:
    return Finding(EVERYTHING, one.column, LEVEL, one.shift, one.limit, _verdict(abs(one.shift), one.limit))


def _is_hourly(finding: Finding, hourly: Sequence[str]) -> bool:
    counts_an_hour = finding.column == ROWS and finding.slice.partition("=")[0] in hourly
    return counts_an_hour or finding.column in hourly


def _verdict(size: float, limit: float) -> Verdict:
    return "pass" if size < limit else "fail" if size >= FAILS_BEYOND * limit else "warn"


def _least_effect(check: Check) -> float:
    name, _, method = check
    least = LEAST_EFFECTS[method]
    # A slice has few sessions, and a session's rows are null together.
    return 2 * least if name != EVERYTHING and method == "null_share" else least


def _slices(reference: PeriodCounts, days: int, params: WatchParams) -> list[str]:
    """The slices that are looked at: the whole, and the largest that have rows enough but are not all.

    What has other columns counts something else than events.
    """
    whole = reference[EVERYTHING]
    most = _NEARLY_ALL * whole.rows
    large = [
        (counts.rows, name)
        for name, counts in reference.items()
        if name != EVERYTHING
        and counts.rows >= params.least_visits * params.rows_per_visit * days
        and (counts.rows < most or counts.columns.keys() != whole.columns.keys())
    ]
    return [EVERYTHING, *(name for _, name in sorted(large, reverse=True)[: params.most_slices])]


def _distances(
    current: PeriodCounts,
    reference: PeriodCounts,
    days: int,
    bins: Sequence[ColumnBins],
    names: Sequence[str],
    params: WatchParams,
) -> dict[Check, float]:
    found: dict[Check, float] = {}
    for name in names:
        before, now = reference.get(name), current.get(name)
        if before is None:
            continue
        usual = before.rows / days
        if params.watches_rows:
            found[name, ROWS, ROWS] = float(np.log((1 + (now.rows if now else 0)) / (1 + usual)))
        least = 1 if name == EVERYTHING else params.least_rows
        if now is None or min(now.rows, usual) < least:
            continue
        own = name.partition("=")[0]
        for one in bins:
            # A slice is one value of its own column, and may have no columns at all.
            if one.column != own and one.column in now.columns and one.column in before.columns:
                found |= _column_distances(name, one, before, now)
    return found


def _column_distances(
    name: str, bins: ColumnBins, before: SliceCounts, now: SliceCounts
) -> dict[Check, float]:
    reference, current = before.columns[bins.column], now.columns[bins.column]
    gap = abs(null_share(current) - null_share(reference))
    found: dict[Check, float] = {(name, bins.column, "null_share"): gap}
    if bins.is_number:
        if reference[:-1].sum() and current[:-1].sum():
            found[name, bins.column, "wasserstein"] = wasserstein(bins, reference, current)
    else:
        found[name, bins.column, "jensenshannon"] = jensenshannon(reference, current)
    return found


def _is_chance(
    name: str,
    value: float,
    current: SlicesCounted,
    reference: SlicesCounted,
    periods: int,
    params: WatchParams,
    rate: float,
) -> bool:
    """Whether a slice with so few rows may have so few visits by chance: a small store's quiet day."""
    if value >= 0 or name == EVERYTHING:
        return False
    from scipy.stats import poisson

    usual = reference[name].rows / periods / params.rows_per_visit
    now = (current[name].rows if name in current else 0) / params.rows_per_visit
    return bool(poisson.cdf(np.floor(now), usual) > rate)


def _finding(
    check: Check, value: float, limit: float, current: PeriodCounts, reference: PeriodCounts, days: int
) -> Finding:
    name, column, method = check
    detail = ""
    if method == ROWS:
        now = current[name].rows if name in current else 0
        detail = f"{now:,} rows, usually {reference[name].rows / days:,.0f}"
    return Finding(name, column, method, value, limit, _verdict(abs(value), limit), detail)


def _overall(findings: Sequence[Finding], params: WatchParams) -> Verdict:
    whole = {one.column for one in findings if one.slice == EVERYTHING}
    drifted = {one.column for one in findings if one.slice == EVERYTHING and one.verdict != "pass"}
    if any(one.verdict == "fail" for one in findings):
        return "fail"
    if whole and len(drifted) / len(whole) > params.max_drifted_share:
        return "fail"
    return "warn" if any(one.verdict != "pass" for one in findings) else "pass"
