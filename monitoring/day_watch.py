"""The verdict on a day: its events and its labels, beside those of days like it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

import pandas as pd
from duckdb import DuckDBPyConnection

from monitoring import event_frame, label_frame
from monitoring.drift_bins import ColumnBins, bins_of
from monitoring.drift_counts import EVERYTHING, PeriodCounts, counted
from monitoring.drift_finding import WatchResult
from monitoring.drift_season import phases_of, seasons_of
from monitoring.drift_watch import WatchParams, watch_period
from monitoring.event_frame import PERIOD, PROMOTIONS, build_event_frame, promotions_running, with_promotions
from monitoring.label_frame import LABELS, build_label_frame

_DRAWN_ROWS = 50_000


def watch_day(
    connection: DuckDBPyConnection,
    day: date,
    *,
    since: datetime,
    timezone: str,
    country: str,
    params: WatchParams | None = None,
) -> WatchResult:
    """The verdict on the events and labels of a day; without an earlier day no findings, and 'warn'.

    Args:
        connection: Has the views events, users, items and promotions, as of after the day.
        since: The first instant that is looked at, UTC.
        timezone: The shop's.
        country: Whose holidays count.
    """
    params = params or WatchParams()
    build_event_frame(connection, since=since, default_timezone=timezone)
    build_label_frame(connection, since=since, default_timezone=timezone)
    drawn = _drawn(connection, event_frame.VIEW, event_frame.COLUMNS, day)
    if drawn.empty:
        return WatchResult((), "warn", ())
    bins = bins_of(drawn, event_frame.COLUMNS)
    labels = label_bins(_drawn(connection, label_frame.VIEW, label_frame.COLUMNS, day))
    least = round(params.least_visits * params.season.least)
    events = counts_by_day(connection, event_frame.VIEW, bins, event_frame.SLICES, least)
    days = with_labels({day: {}, **events}, counts_by_day(connection, label_frame.VIEW, labels))
    days = with_promotions(days, promotions_running(connection, timezone))
    running = {one: counts[PROMOTIONS].rows for one, counts in days.items()}
    seasons = seasons_of(list(days), country, phases_of(running))
    visits = float((1.0 / drawn["basket_lines"]).mean())
    params = replace(params, rows_per_visit=1.0 / visits if visits > 0 else 1.0)
    return watch_period(day, days[day], days, seasons, (*bins, *labels), params)


def label_bins(labels: pd.DataFrame) -> tuple[ColumnBins, ...]:
    """The bins of labels, none without any."""
    return () if labels.empty else bins_of(labels, label_frame.COLUMNS)


def counts_by_day(
    connection: DuckDBPyConnection,
    view: str,
    bins: tuple[ColumnBins, ...],
    slices: tuple[str, ...] = (),
    least_rows: int = 0,
) -> dict[date, PeriodCounts]:
    """The counts of each local day of a view; slices with fewer rows in all are left out."""
    told = counted(connection, view, bins, slices, PERIOD, least_rows)
    return {date.fromisoformat(name[:10]): counts for name, counts in told.items() if name}


def with_labels(
    events: Mapping[date, PeriodCounts], labels: Mapping[date, PeriodCounts]
) -> dict[date, PeriodCounts]:
    """The counts of each day with one more slice, `labels`, which has columns of its own."""
    return {
        day: {**counts, LABELS: labels[day][EVERYTHING]} if day in labels else dict(counts)
        for day, counts in events.items()
    }


def _drawn(connection: DuckDBPyConnection, view: str, columns: tuple[str, ...], day: date) -> pd.DataFrame:
    """A draw of the rows before the day, always the same."""
    before = f"FROM {view} WHERE {PERIOD} < DATE '{day}'"
    rows = connection.sql(f"SELECT count(*) {before}").fetchall()[0][0]
    share = max(1, min(1_000, round(1_000 * _DRAWN_ROWS / max(rows, 1))))
    drawn: pd.DataFrame = connection.sql(f"SELECT {', '.join(columns)} {before} AND draw < {share}").df()
    return drawn
