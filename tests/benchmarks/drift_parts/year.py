"""Complete Journey's year as the watch sees it: events in a lake, and counts of every local day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection

from infra.event_lake import EventLake
from infra.ingestion import ingest
from infra.sources import open_source
from monitoring.drift_bins import ColumnBins, bins_of
from monitoring.drift_counts import PeriodCounts, counted
from monitoring.drift_season import Season, phases_of, seasons_of
from monitoring.drift_watch import WatchParams
from monitoring.event_frame import COLUMNS, PERIOD, PROMOTIONS, SLICES, VIEW, build_event_frame

TIMEZONE, COUNTRY = "America/New_York", "US"
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


def connect_copy(folder: Path, since: date, until: date) -> DuckDBPyConnection:
    """A connection with the tables of `copied`, events of these days only, all of them changeable."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for name in _TABLES:
        kept = (
            f"WHERE event_ts >= timezone('{TIMEZONE}', TIMESTAMP '{since}') "
            f"AND event_ts < timezone('{TIMEZONE}', TIMESTAMP '{until + timedelta(days=1)}')"
            if name == "events"
            else ""
        )
        connection.execute(
            f"CREATE TABLE {name} AS SELECT * FROM read_parquet('{folder / name}.parquet') {kept}"
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


def frame_of(connection: DuckDBPyConnection, since: date) -> pd.DataFrame:
    """The watched events from a local day on."""
    begin = datetime.combine(since, datetime.min.time(), UTC)
    build_event_frame(connection, since=begin, default_timezone=TIMEZONE)
    return connection.sql(f"SELECT * FROM {VIEW}").df()


def day_counts(
    frame: pd.DataFrame, bins: tuple[ColumnBins, ...], least_rows: int
) -> dict[date, PeriodCounts]:
    """Counts by local day."""
    with duckdb.connect() as connection:
        connection.register("scored", frame)
        told = counted(connection, "scored", bins, SLICES, PERIOD, least_rows)
    return {date.fromisoformat(name[:10]): counts for name, counts in told.items() if name}


def chosen_bins(frame: pd.DataFrame, before: date) -> tuple[ColumnBins, ...]:
    """The bins, from a draw of the rows before a day."""
    earlier = frame[pd.to_datetime(frame[PERIOD]).dt.date < before]
    return bins_of(earlier.sample(min(len(earlier), 50_000), random_state=0), SCORED)


def params_for(frame: pd.DataFrame) -> WatchParams:
    """As the flow judges, by how many lines a basket of these rows has."""
    return WatchParams(rows_per_visit=1.0 / float((1.0 / frame["basket_lines"]).mean()))


def year_seasons(counts: Mapping[date, PeriodCounts]) -> dict[date, Season]:
    """By the calendar and the promotions that run, as the flow tells them."""
    running = {day: of[PROMOTIONS].rows for day, of in counts.items()}
    return seasons_of(list(counts), COUNTRY, phases_of(running))


def least_rows(params: WatchParams, days: int) -> int:
    """Of a slice in so many days, to be counted at all."""
    return round(params.least_visits * params.rows_per_visit * days)
