"""Twelve faults put into real days, one at a time: whether the watch finds each.

The fault is in the raw tables as they come (events, items, promotions) or in what is made of them; every
fault is put into three ordinary days, whose clean selves must pass. What counts as found is an alarm on a
column that the fault touches.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection
from rich.table import Table

from monitoring.drift_counts import PeriodCounts
from monitoring.drift_watch import WatchParams, WatchResult, watch_period
from monitoring.event_frame import PERIOD, promotions_running, with_promotions
from tests.benchmarks.drift_parts.year import (
    TIMEZONE,
    Scorer,
    chosen_bins,
    connect_copy,
    copied,
    day_counts,
    frame_of,
    least_rows,
    params_for,
    year_lake,
    year_seasons,
)
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

DAYS = (date(2017, 7, 18), date(2017, 9, 9), date(2017, 10, 16))
CREEP_DAYS, CREEP_A_DAY = 10, 0.02
_PAST_DAYS = 140
_LOCAL = f"timezone('{TIMEZONE}', event_ts)"
_OF_DAY = f"CAST({_LOCAL} AS DATE) = DATE '{{day}}'"


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        columns: Where an alarm counts as found.
        statements: Changes to the tables; `{day}` is the day.
        scores: Changes the scores of the day.
    """

    columns: frozenset[str]
    statements: tuple[str, ...] = ()
    scores: Callable[[np.ndarray], np.ndarray] | None = None


_ROTATED = """
UPDATE items SET category_path = to_department || substr(category_path, length(from_department) + 1)
FROM (
    SELECT department AS from_department, coalesce(lead(department) OVER (ORDER BY department),
        min(department) OVER ()) AS to_department
    FROM (SELECT DISTINCT split_part(category_path, '>', 1) AS department FROM items)
) WHERE split_part(category_path, '>', 1) = from_department
"""
_BOTS = f"""
INSERT INTO events BY NAME
SELECT * REPLACE (
    event_id || '-bot' AS event_id, user_id || '-bot' AS user_id, 'bot-' || session_id AS session_id
)
FROM events WHERE user_id IN (
    SELECT user_id FROM events WHERE {_OF_DAY} GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 40
) AND {_OF_DAY}
"""
FAULTS: Mapping[str, Fault] = {
    "nulls burst": Fault(
        frozenset({"amount", "unit_price", "price_ratio"}),
        (f"UPDATE events SET amount = NULL WHERE {_OF_DAY} AND hash(event_id) % 10 < 3",),
    ),
    "unit x100": Fault(
        frozenset({"amount", "unit_price", "price_ratio"}),
        (f"UPDATE events SET amount = amount * 100 WHERE {_OF_DAY}",),
    ),
    "category remap": Fault(frozenset({"department"}), (_ROTATED,)),
    "clock shifted 5 h": Fault(
        frozenset({"local_hour", "rows"}),
        (f"UPDATE events SET event_ts = event_ts + INTERVAL 5 HOUR WHERE {_OF_DAY}",),
    ),
    "store silent": Fault(
        frozenset({"rows", "store_id"}),
        (
            f"DELETE FROM events WHERE {_OF_DAY} AND store_id = (SELECT store_id FROM events "
            "GROUP BY store_id ORDER BY count(*) DESC, store_id LIMIT 1)",
        ),
    ),
    "promotions missing": Fault(frozenset({"promotion", "promotions"}), ("DELETE FROM promotions",)),
    "stale view": Fault(
        frozenset({"user_gap_days"}),
        (
            f"DELETE FROM events WHERE CAST({_LOCAL} AS DATE) BETWEEN DATE '{{day}}' - 7 "
            "AND DATE '{day}' - 1",
        ),
    ),
    "duplicated day": Fault(
        frozenset({"rows", "basket_lines", "user_events"}),
        (
            "INSERT INTO events BY NAME SELECT * REPLACE (event_id || '-2' AS event_id) FROM events "
            f"WHERE {_OF_DAY}",
        ),
    ),
    "bot traffic": Fault(frozenset({"user_events", "basket_lines", "user_gap_days", "rows"}), (_BOTS, _BOTS)),
    "score collapse": Fault(frozenset({"score"}), scores=lambda scores: np.full(len(scores), scores.mean())),
    "label delay": Fault(
        frozenset({"rows", "local_hour"}), (f"DELETE FROM events WHERE {_OF_DAY} AND hour({_LOCAL}) >= 16",)
    ),
}
CREEP = "slow 2 %/day creep"


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """How many of the faults put in were found."""
    say("the year's events")
    tables = folder / "tables"
    copied(year_lake(folder), tables)
    table: dict[str, dict[str, Any]] = {name: {"injected": 0, "detected": 0} for name in (*FAULTS, CREEP)}
    clean = 0
    for day in DAYS:
        say(f"{day}: its past")
        past = Past.of(tables, day, effort.seed)
        result = past.watch(day, past.counts_of(tables, day, None))
        clean += bool(result.alarms)
        for name, fault in FAULTS.items():
            say(f"{day}: {name}")
            result = past.watch(day, past.counts_of(tables, day, fault))
            _note(
                table[name],
                day,
                [one.words for one in result.alarms if {one.column, one.slice} & fault.columns],
            )
        say(f"{day}: {CREEP}")
        _note(table[CREEP], day, past.creep(tables, day))
    injected = sum(one["injected"] for one in table.values())
    detected = sum(one["detected"] for one in table.values())
    return Found(
        {
            "injected": injected,
            "detected": detected,
            "undetected": injected - detected,
            "clean_days_alarmed": clean,
            "faults": table,
        },
        f"{detected} of {injected} faults found, {clean} of {len(DAYS)} clean days alarmed",
        (_table(table),),
        (f"days {', '.join(map(str, DAYS))}; the creep counts as found within {CREEP_DAYS} days",),
    )


@dataclass(frozen=True)
class Past:
    """What is known before a day."""

    history: dict[date, PeriodCounts]
    bins: tuple[Any, ...]
    scorer: Scorer
    params: WatchParams

    @classmethod
    def of(cls, tables: Path, day: date, seed: int) -> Past:
        """The clean past of a day."""
        first = day - timedelta(days=_PAST_DAYS)
        with connect_copy(tables, first, day - timedelta(days=1)) as connection:
            frame = frame_of(connection, first - timedelta(days=1))
            running = promotions_running(connection, TIMEZONE)
        scorer, params = Scorer(frame, seed), params_for(frame)
        frame["score"] = scorer(frame)
        bins = chosen_bins(frame, day)
        history = day_counts(frame, bins, least_rows(params, params.season.least))
        return cls(with_promotions(history, running), bins, scorer, params)

    def counts_of(self, tables: Path, day: date, fault: Fault | None) -> PeriodCounts:
        """The day's counts with a fault in it, or without one."""
        first = day - timedelta(days=_PAST_DAYS)
        with connect_copy(tables, first, day) as connection:
            if fault is not None:
                for number, statement in enumerate(fault.statements):
                    connection.execute(statement.format(day=day).replace("-bot'", f"-bot{number}'"))
            frame = _of_day(connection, first, day)
            running = promotions_running(connection, TIMEZONE)
        scores = self.scorer(frame)
        frame["score"] = scores if fault is None or fault.scores is None else fault.scores(scores)
        counts = {day: day_counts(frame, self.bins, 0).get(day, {})}
        return with_promotions(counts, running)[day]

    def watch(
        self, day: date, counts: PeriodCounts, history: Mapping[date, PeriodCounts] | None = None
    ) -> WatchResult:
        """The verdict on a day."""
        history = self.history if history is None else history
        return watch_period(day, counts, history, year_seasons([*history, day]), self.bins, self.params)

    def creep(self, tables: Path, day: date) -> list[str]:
        """The first alarms on amounts that creep up by two per cent a day; none within ten days: empty."""
        begin = day - timedelta(days=CREEP_DAYS - 1)
        history = {one: counts for one, counts in self.history.items() if one < begin}
        first = day - timedelta(days=_PAST_DAYS)
        with connect_copy(tables, first, day) as connection:
            connection.execute(
                f"UPDATE events SET amount = amount * pow({1 + CREEP_A_DAY}, "
                f"1 + CAST({_LOCAL} AS DATE) - DATE '{begin}') "
                f"WHERE CAST({_LOCAL} AS DATE) >= DATE '{begin}'"
            )
            frame = _of_day(connection, first, begin)
            running = promotions_running(connection, TIMEZONE)
        frame["score"] = self.scorer(frame)
        counts = with_promotions(day_counts(frame, self.bins, 0), running)
        for number in range(CREEP_DAYS):
            one = begin + timedelta(days=number)
            result = self.watch(one, counts[one], history)
            told = [f.words for f in result.alarms if f.column in ("amount", "unit_price", "price_ratio")]
            if told:
                return [f"day {number + 1}: {told[0]}"]
            history[one] = counts[one]
        return []


def _of_day(connection: DuckDBPyConnection, first: date, day: date) -> pd.DataFrame:
    """The watched events from `day` on, by what is known since `first`."""
    frame = frame_of(connection, first - timedelta(days=1))
    return frame[pd.to_datetime(frame[PERIOD]).dt.date >= day].reset_index(drop=True)


def _note(row: dict[str, Any], day: date, words: list[str]) -> None:
    row["injected"] += 1
    row["detected"] += bool(words)
    row[day.isoformat()] = words[:3]


def _table(table: Mapping[str, Mapping[str, Any]]) -> Table:
    found = Table(box=None, pad_edge=False)
    for name in ("fault", "put in", "found", "seen first as"):
        found.add_column(name, justify="left" if name in ("fault", "seen first as") else "right")
    for name, row in table.items():
        words = next((row[day.isoformat()] for day in DAYS if row.get(day.isoformat())), [""])
        found.add_row(name, str(row["injected"]), str(row["detected"]), words[0])
    return found


PART = Part("faults", measure, {"undetected": ("at most", 0.0), "clean_days_alarmed": ("at most", 0.0)})
