"""How often monitoring cries wolf over an ordinary year, feasts included, beside Evidently's defaults.

Every day from March on is judged by what was known then: its events and labels by the watch on drift, and
the data as of its end by quality, whose warnings count on the day they begin. A week with any alarm counts.
Evidently's default preset compares each week with the one before, as a job without a season would; its alarm
is that of its own dataset verdict, and beside it stands how often any of its columns drifted.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from features.calendar import local_midnight
from infra.event_lake import EventLake
from monitoring.drift_watch import WatchParams
from monitoring.event_frame import CATEGORIES, NUMBERS, PERIOD, promotions_running
from monitoring.quality import measure_quality
from tests.benchmarks.drift_parts.year import (
    CLOCK,
    FIRST_DAY,
    LAST_DAY,
    TIMEZONE,
    WARM_UP_DAYS,
    Scorer,
    Watched,
    frames_of,
    opened,
    year_lake,
)
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_EVIDENTLY_ROWS = 5_000


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """The share of weeks with an alarm, of ours and of Evidently."""
    say("the year's events")
    lake = year_lake(folder)
    with opened(lake) as connection:
        frame, labels = frames_of(connection, FIRST_DAY - timedelta(days=1))
        running = promotions_running(connection, TIMEZONE)
    frame, labels = _of_year(frame), _of_year(labels)
    start, days = FIRST_DAY + timedelta(days=WARM_UP_DAYS), (LAST_DAY - FIRST_DAY).days
    early = frame[pd.to_datetime(frame[PERIOD]).dt.date < start]
    frame["score"] = Scorer(early, effort.seed)(frame)
    say("counting")
    watched = Watched.of(frame, labels, running, start, days)
    alarmed: dict[date, list[str]] = {}
    judged = [one for one in sorted(watched.history) if one >= start]
    for number, one in enumerate(judged):
        say(f"day {number + 1} of {len(judged)}")
        result = watched.judged(one, watched.history[one])
        if result.alarms:
            alarmed[one] = [finding.words for finding in result.alarms[:5]]
    for one, words in _quality_alarms(lake, judged, say).items():
        alarmed[one] = [*alarmed.get(one, []), *words]
    alarmed = dict(sorted(alarmed.items()))
    weeks = sorted({_monday(one) for one in judged})
    ours = {_monday(one) for one in alarmed}
    theirs = _evidently(frame, weeks, say)
    share = len(ours) / len(weeks)
    halves = weeks[: len(weeks) // 2], weeks[len(weeks) // 2 :]
    dataset = sum(one["dataset"] for one in theirs.values()) / len(weeks)
    columns = sum(one["columns"] > 0 for one in theirs.values()) / len(weeks)
    return Found(
        {
            "false_alarm_share": share,
            "false_alarm_ratio_to_evidently": share / columns if columns else float("inf"),
            "evidently_alarm_share_any_column": columns,
            "evidently_alarm_share_dataset": dataset,
            "alarms": {
                "weeks": len(weeks),
                "share_by_half": [len(ours & {*half}) / len(half) for half in halves],
                "days": len(judged),
                "alarmed": {one.isoformat(): words for one, words in alarmed.items()},
                "evidently": {one.isoformat(): told for one, told in theirs.items()},
            },
        },
        f"{len(ours)} of {len(weeks)} weeks alarmed, Evidently {columns:.0%} of them by any column",
        (_table(alarmed),),
        (
            f"{len(judged)} days judged as known then: events, labels and data quality; the setting asks for "
            f"{WatchParams().limits.false_alarm_rate:g} alarms of drift a day",
            f"Evidently's own dataset verdict (half of the columns) alarms in {dataset:.0%} of the weeks",
        ),
    )


def _quality_alarms(lake: EventLake, days: list[date], say: Say) -> dict[date, list[str]]:
    """The checks of data quality that were fine the day before and are not, by day."""
    found: dict[date, list[str]] = {}
    before: set[tuple[str, str]] = set()
    with opened(lake) as connection:
        for number, day in enumerate(days):
            say(f"quality, day {number + 1} of {len(days)}")
            as_of = local_midnight(day + timedelta(days=1), TIMEZONE)
            report = measure_quality(connection, as_of=as_of, clock=CLOCK)
            bad = {(one.name, one.column): one.detail for one in report.checks if one.verdict != "ok"}
            new = [f"{key[0]}: {detail}" for key, detail in bad.items() if key not in before]
            found |= {day: new} if new else {}
            before = set(bad)
    return found


def _of_year(frame: pd.DataFrame) -> pd.DataFrame:
    day = pd.to_datetime(frame[PERIOD]).dt.date
    return frame[(day >= FIRST_DAY) & (day <= LAST_DAY)].reset_index(drop=True)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _evidently(frame: pd.DataFrame, weeks: list[date], say: Say) -> dict[date, dict[str, Any]]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    of_week = pd.to_datetime(frame[PERIOD]).dt.date.map(_monday)
    numbers = [name for name in (*NUMBERS, "score") if frame[name].notna().any()]
    told = [name for name in CATEGORIES if frame[name].notna().any() and frame[name].nunique() > 1]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=told)

    def dataset(week: date) -> Any:
        rows = frame.loc[of_week == week, [*numbers, *told]]
        rows = rows.sample(min(len(rows), _EVIDENTLY_ROWS), random_state=0)
        rows = rows.assign(**{name: rows[name].astype(str) for name in told})
        return Dataset.from_pandas(rows.reset_index(drop=True), data_definition=definition)

    found: dict[date, dict[str, Any]] = {}
    for number, week in enumerate(weeks):
        say(f"Evidently, week {number + 1} of {len(weeks)}")
        snapshot = Report([DataDriftPreset()]).run(dataset(week), dataset(week - timedelta(days=7))).dict()
        counted = next(one["value"] for one in snapshot["metrics"] if isinstance(one["value"], dict))
        found[week] = {"columns": int(counted["count"]), "dataset": bool(counted["share"] >= 0.5)}
    return found


def _table(alarmed: dict[date, list[str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("day")
    table.add_column("alarms")
    for day, words in alarmed.items():
        table.add_row(f"{day:%a %Y-%m-%d}", "; ".join(words[:3]))
    return table


PART = Part(
    "alarms",
    measure,
    {
        "false_alarm_share": ("at most", 0.05),
        "false_alarm_ratio_to_evidently": ("at most", 1 / 3),
    },
)
