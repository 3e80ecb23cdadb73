"""Twelve faults put into real days, one at a time: whether monitoring finds each, and by which check.

The fault is in the raw tables as they come (events, items, promotions) or in what is made of them; every
fault is put into three ordinary days, whose clean selves must pass. What counts as found is an alarm of the
watch on drift on a column that the fault touches, or of data quality on a check that is fine without it. Two
faults go on: a creep, and a store that fell silent and stays so, since in this sample of households the
busiest store has nine baskets a day and by chance may have none. They count as found on any of their days,
and the table says within how many.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from duckdb import DuckDBPyConnection
from rich.table import Table

from features.calendar import local_midnight
from monitoring.drift_finding import Finding
from monitoring.drift_watch import WatchParams
from monitoring.event_frame import PERIOD, promotions_running
from monitoring.quality import measure_quality
from monitoring.quality_check import QualityReport
from tests.benchmarks.drift_parts.year import (
    CLOCK,
    TIMEZONE,
    Scorer,
    Watched,
    connect_copy,
    copied,
    frames_of,
    year_lake,
)
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

DAYS = (date(2017, 7, 18), date(2017, 9, 9), date(2017, 10, 16))
_PAST_DAYS = 140
_LOCAL = f"timezone('{TIMEZONE}', event_ts)"
_OF_DAY = f"CAST({_LOCAL} AS DATE) BETWEEN DATE '{{begin}}' AND DATE '{{day}}'"


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    Attributes:
        columns: Where an alarm of the watch counts as found.
        statements: Changes to the tables; `{day}` is the last day of the fault, `{begin}` its first.
        scores: Changes the scores of the day.
        lasts_days: It goes on for so many days.
        checks: Of data quality, that find it as well.
    """

    columns: frozenset[str]
    statements: tuple[str, ...] = ()
    lasts_days: int = 1
    checks: frozenset[str] = frozenset()
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
        lasts_days=3,  # the busiest store has nine baskets a day: one day without any is chance
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
        checks=frozenset({"duplicate_share", "day_repeated_rise", "day_replayed_rise"}),
    ),
    "bot traffic": Fault(frozenset({"user_events", "basket_lines", "user_gap_days", "rows"}), (_BOTS, _BOTS)),
    "score collapse": Fault(frozenset({"score"}), scores=lambda scores: np.full(len(scores), scores.mean())),
    "label delay": Fault(
        frozenset({"rows", "local_hour"}), (f"DELETE FROM events WHERE {_OF_DAY} AND hour({_LOCAL}) >= 16",)
    ),
    "slow 2 %/day creep": Fault(
        frozenset({"amount", "unit_price", "price_ratio"}),
        (
            f"UPDATE events SET amount = amount * pow(1.02, 1 + CAST({_LOCAL} AS DATE) - DATE '{{begin}}') "
            f"WHERE {_OF_DAY}",
        ),
        lasts_days=10,
    ),
}


CLEAN = Fault(frozenset())
"""No fault at all: every alarm counts."""


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """How many of the faults put in were found."""
    say("the year's events")
    tables = folder / "tables"
    copied(year_lake(folder), tables)
    table: dict[str, dict[str, Any]] = {
        name: {"injected": 0, "detected": 0, "within_days": fault.lasts_days}
        for name, fault in FAULTS.items()
    }
    clean = 0
    for day in DAYS:
        say(f"{day}: its past")
        past = Past.of(tables, day, effort.seed)
        report = past.quality(tables, day, CLEAN)
        clean += bool(past.alarms(tables, day, CLEAN) or report.reasons)
        fine = {check.name for check in report.checks if check.verdict == "ok"}
        for name, fault in FAULTS.items():
            say(f"{day}: {name}")
            _note(table[name], day, past.found(tables, day, fault, fine))
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
        (f"days {', '.join(map(str, DAYS))}; a fault that goes on says on which of its days it was found",),
    )


@dataclass(frozen=True)
class Past:
    """What is known before a day."""

    watched: Watched
    scorer: Scorer

    @classmethod
    def of(cls, tables: Path, day: date, seed: int) -> Past:
        """The clean past of a day."""
        first = day - timedelta(days=_PAST_DAYS)
        with connect_copy(tables, first, day - timedelta(days=1)) as connection:
            frame, labels = frames_of(connection, first - timedelta(days=1))
            running = promotions_running(connection, TIMEZONE)
        scorer = Scorer(frame, seed)
        frame["score"] = scorer(frame)
        return cls(Watched.of(frame, labels, running, day, WatchParams().season.least), scorer)

    def alarms(self, tables: Path, day: date, fault: Fault) -> list[tuple[int, Finding]]:
        """(day of the fault, alarm) of the days that the fault lasts, up to the first with any."""
        begin = day - timedelta(days=fault.lasts_days - 1)
        watched = self.watched.until(begin)
        with self._faulty(tables, day, fault) as connection:
            first = day - timedelta(days=_PAST_DAYS + 1)
            frame, labels = (_since(rows, begin) for rows in frames_of(connection, first))
            running = promotions_running(connection, TIMEZONE)
        scores = self.scorer(frame)
        frame["score"] = scores if fault.scores is None else fault.scores(scores)
        counts = watched.counts(frame, labels, running)
        for number in range(fault.lasts_days):
            one = begin + timedelta(days=number)
            touched = [
                (number + 1, alarm)
                for alarm in watched.judged(one, counts[one]).alarms
                if not fault.columns or {alarm.column, alarm.slice} & fault.columns
            ]
            if touched:
                return touched
            watched.history[one] = counts[one]
        return []

    def quality(self, tables: Path, day: date, fault: Fault) -> QualityReport:
        """What data quality says at the end of the day."""
        with self._faulty(tables, day, fault) as connection:
            as_of = local_midnight(day + timedelta(days=1), TIMEZONE)
            return measure_quality(connection, as_of=as_of, clock=CLOCK)

    def found(self, tables: Path, day: date, fault: Fault, fine: Collection[str]) -> list[str]:
        """What the alarms say, each with the check that raised it."""
        words = []
        for number, alarm in self.alarms(tables, day, fault):
            when = f", day {number}" if fault.lasts_days > 1 else ""
            words.append(f"drift{when}: {alarm.words}")
        if fault.checks:
            checks = self.quality(tables, day, fault).checks
            new = [one for one in checks if one.verdict != "ok" and one.name in fault.checks & set(fine)]
            words += [f"quality {one.name}: {one.detail}" for one in new]
        return words

    def _faulty(self, tables: Path, day: date, fault: Fault) -> DuckDBPyConnection:
        """The tables with the fault in them."""
        begin = day - timedelta(days=fault.lasts_days - 1)
        connection = connect_copy(tables, day - timedelta(days=_PAST_DAYS), day, promoted_since=begin)
        for number, statement in enumerate(fault.statements):
            connection.execute(statement.format(day=day, begin=begin).replace("-bot'", f"-bot{number}'"))
        return connection


def _since(rows: pd.DataFrame, begin: date) -> pd.DataFrame:
    return rows[pd.to_datetime(rows[PERIOD]).dt.date >= begin].reset_index(drop=True)


def _note(row: dict[str, Any], day: date, words: list[str]) -> None:
    row["injected"] += 1
    row["detected"] += bool(words)
    row[day.isoformat()] = words[:3]


def _table(table: Mapping[str, Mapping[str, Any]]) -> Table:
    found = Table(box=None, pad_edge=False)
    for name in ("fault", "within, days", "put in", "found", "seen first as"):
        found.add_column(name, justify="left" if name in ("fault", "seen first as") else "right")
    for name, row in table.items():
        words = next((row[day.isoformat()] for day in DAYS if row.get(day.isoformat())), [""])
        counts = (str(row[key]) for key in ("within_days", "injected", "detected"))
        found.add_row(name, *counts, words[0])
    return found


PART = Part("faults", measure, {"undetected": ("at most", 0.0), "clean_days_alarmed": ("at most", 0.0)})
