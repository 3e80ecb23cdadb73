"""Complete Journey's year as the watch sees it: events in a lake, and counts of every local day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from infra.event_lake import EventLake
from infra.ingestion import ingest
from infra.sources import open_source
from monitoring import event_frame, label_frame
from monitoring.day_watch import counts_by_day, label_bins, with_labels
from monitoring.drift_bins import ColumnBins, bins_of
from monitoring.drift_counts import PeriodCounts
from monitoring.drift_finding import WatchResult
from monitoring.drift_season import Season, phases_of, seasons_of
from monitoring.drift_watch import WatchParams, watch_period
from monitoring.event_frame import COLUMNS, PERIOD, PROMOTIONS, build_event_frame, with_promotions
from monitoring.label_frame import build_label_frame
from monitoring.shop_clock import ShopClock

TIMEZONE, COUNTRY = "America/New_York", "US"
CLOCK = ShopClock(TIMEZONE, COUNTRY)
FIRST_DAY, LAST_DAY = date(2017, 1, 2), date(2017, 12, 30)
WARM_UP_DAYS = 63
"""From here on a day has a past to be compared with."""
SCORED = (*COLUMNS, "score")
_TABLES = ("events", "users", "items", "promotions")


def year_lake(folder: Path) -> EventLake:
    """The whole year's events in a lake of its own."""
    lake = EventLake(folder / "lake")
    ingest(open_source("complete-journey"), lake, now=datetime.now(UTC))
    return lake


@contextmanager
def opened(lake: EventLake) -> Iterator[DuckDBPyConnection]:
    """A connection whose views events, users, items and promotions may be replaced."""
    connection = lake.connect()
    try:
        yield connection
    finally:
        connection.close()


def copied(lake: EventLake, folder: Path) -> None:
    """Nothing; the tables lie in `folder` as single files, for a connection that changes them."""
    folder.mkdir(parents=True, exist_ok=True)
    with opened(lake) as connection:
        for name in _TABLES:
            target = str(folder / f"{name}.parquet")
            connection.execute(f"COPY (SELECT * FROM {name}) TO '{target}' (FORMAT parquet)")


def connect_copy(
    folder: Path, since: date, until: date, promoted_since: date | None = None
) -> DuckDBPyConnection:
    """A connection with the tables of `copied`, all of them changeable.

    Args:
        since, until: Local days whose events it has.
        promoted_since: The first day whose promotions it has; `since` by default.
    """
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    begin, end = (f"timezone('{TIMEZONE}', TIMESTAMP '{day}')" for day in (since, until + timedelta(days=1)))
    promoted = f"timezone('{TIMEZONE}', TIMESTAMP '{promoted_since or since}')"
    kept = {
        "events": f"WHERE event_ts >= {begin} AND event_ts < {end}",
        "promotions": f"WHERE starts_at < {end} AND ends_at > {promoted}",
    }
    for name in _TABLES:
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{folder / name}.parquet') "
            + kept.get(name, "")
        )
    return connection


class Scorer:
    """A small real model of the year's first weeks: how likely a line is bought on promotion."""

    def __init__(self, frame: pd.DataFrame, seed: int) -> None:
        import lightgbm as lgb

        self._names = ["amount", "unit_price", "basket_lines", "user_gap_days", "user_events", "local_hour"]
        self._categories = sorted(frame["department"].dropna().unique())
        settings = {"objective": "binary", "num_leaves": 15, "verbosity": -1, "seed": seed, "num_threads": 2}
        data = lgb.Dataset(self._matrix(frame), (frame["promotion"] != "none").to_numpy(dtype=float))
        self._booster = lgb.train(settings, data, num_boost_round=60)

    def __call__(self, frame: pd.DataFrame) -> np.ndarray:
        """A score for each row."""
        return np.asarray(self._booster.predict(self._matrix(frame), num_threads=2), dtype=np.float64)

    def _matrix(self, frame: pd.DataFrame) -> np.ndarray:
        codes = pd.Categorical(frame["department"], categories=self._categories).codes
        numbers = frame[self._names].to_numpy(dtype=np.float64, na_value=np.nan)
        return np.column_stack([numbers, codes.astype(float)])


def frames_of(connection: DuckDBPyConnection, since: date) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the watched events, the watched labels) from a local day on."""
    begin = datetime.combine(since, datetime.min.time(), UTC)
    build_event_frame(connection, since=begin, default_timezone=TIMEZONE)
    build_label_frame(connection, since=begin, default_timezone=TIMEZONE)
    events, labels = (
        connection.sql(f"SELECT * FROM {frame.VIEW}").df() for frame in (event_frame, label_frame)
    )
    return events, labels


@dataclass(frozen=True)
class Watched:
    """A past of events and labels that days are judged by.

    Attributes:
        bins, label_bins: Of the events with their score, and of labels.
        history: Counts of its days.
    """

    bins: tuple[ColumnBins, ...]
    label_bins: tuple[ColumnBins, ...]
    params: WatchParams
    history: dict[date, PeriodCounts]

    @classmethod
    def of(
        cls,
        events: pd.DataFrame,
        labels: pd.DataFrame,
        running: Mapping[date, int],
        before: date,
        days: int,
    ) -> Watched:
        """The days of these rows; bins, and how many rows come together, are those of the rows before a day.

        Args:
            running: Promotions by day.
            days: How many days a slice must have visits in, to be counted at all.
        """
        early, early_labels = (_sample(rows, before) for rows in (events, labels))
        params = WatchParams(rows_per_visit=1.0 / float((1.0 / early["basket_lines"]).mean()))
        found = cls(bins_of(early, SCORED), label_bins(early_labels), params, {})
        least = round(params.least_visits * params.rows_per_visit * days)
        return replace(found, history=found.counts(events, labels, running, least))

    def counts(
        self, events: pd.DataFrame, labels: pd.DataFrame, running: Mapping[date, int], least_rows: int = 0
    ) -> dict[date, PeriodCounts]:
        """Counts by local day, of the days that have events."""
        with duckdb.connect() as connection:
            connection.register("events", events)
            connection.register("labels", labels)
            of_events = counts_by_day(connection, "events", self.bins, event_frame.SLICES, least_rows)
            told = with_labels(of_events, counts_by_day(connection, "labels", self.label_bins))
        return with_promotions(told, running)

    def until(self, day: date) -> Watched:
        """The same with no day of the history from this one on."""
        return replace(self, history={one: counts for one, counts in self.history.items() if one < day})

    def judged(self, day: date, now: PeriodCounts) -> WatchResult:
        """The verdict on a day by what was known then."""
        known = {one: counts for one, counts in self.history.items() if one < day}
        seasons = year_seasons({**known, day: now})
        return watch_period(day, now, known, seasons, (*self.bins, *self.label_bins), self.params)


def _sample(rows: pd.DataFrame, before: date) -> pd.DataFrame:
    early = rows[pd.to_datetime(rows[PERIOD]).dt.date < before]
    return early.sample(min(len(early), 50_000), random_state=0)


def year_seasons(counts: Mapping[date, PeriodCounts]) -> dict[date, Season]:
    """By the calendar and the promotions that run, as the flow tells them."""
    running = {day: of[PROMOTIONS].rows for day, of in counts.items()}
    return seasons_of(list(counts), COUNTRY, phases_of(running))
