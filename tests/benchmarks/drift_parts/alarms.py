"""How often the watch cries wolf over an ordinary year, feasts included, beside Evidently's defaults.

Every day from March on is judged by what was known then. A week with any alarm counts. Evidently's default
preset compares each week with the one before, as a job without a season would; its alarm is that of its own
dataset verdict, and beside it stands how often any of its columns drifted.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from rich.table import Table

from monitoring.drift_watch import watch_period
from monitoring.event_frame import CATEGORIES, NUMBERS, PERIOD, promotions_running, with_promotions
from tests.benchmarks.drift_parts.year import (
    FIRST_DAY,
    LAST_DAY,
    TIMEZONE,
    WARM_UP_DAYS,
    Scorer,
    chosen_bins,
    day_counts,
    frame_of,
    least_rows,
    opened,
    params_for,
    year_lake,
    year_seasons,
)
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_EVIDENTLY_ROWS = 5_000


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """The share of weeks with an alarm, of ours and of Evidently."""
    say("the year's events")
    with opened(year_lake(folder)) as connection:
        frame = frame_of(connection, FIRST_DAY - timedelta(days=1))
        running = promotions_running(connection, TIMEZONE)
    day = pd.to_datetime(frame[PERIOD]).dt.date
    frame = frame[(day >= FIRST_DAY) & (day <= LAST_DAY)].reset_index(drop=True)
    start = FIRST_DAY + timedelta(days=WARM_UP_DAYS)
    early = frame[pd.to_datetime(frame[PERIOD]).dt.date < start]
    frame["score"] = Scorer(early, effort.seed)(frame)
    params = params_for(early)
    bins = chosen_bins(frame, start)
    say("counting")
    history = day_counts(frame, bins, least_rows(params, (LAST_DAY - FIRST_DAY).days))
    history = with_promotions(history, running)
    alarmed: dict[date, list[str]] = {}
    judged = [one for one in sorted(history) if one >= start]
    for number, one in enumerate(judged):
        say(f"day {number + 1} of {len(judged)}")
        known = {day: counts for day, counts in history.items() if day <= one}
        result = watch_period(one, history[one], known, year_seasons(known), bins, params)
        if result.alarms:
            alarmed[one] = [finding.words for finding in result.alarms[:5]]
    weeks = sorted({_monday(one) for one in judged})
    ours = {_monday(one) for one in alarmed}
    theirs = _evidently(frame, weeks, say)
    share = len(ours) / len(weeks)
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
                "days": len(judged),
                "alarmed": {one.isoformat(): words for one, words in alarmed.items()},
                "evidently": {one.isoformat(): told for one, told in theirs.items()},
            },
        },
        f"{len(ours)} of {len(weeks)} weeks alarmed, Evidently {columns:.0%} of them by any column",
        (_table(alarmed),),
        (
            f"{len(judged)} days judged, each as known then; the setting asks for "
            f"{params.limits.false_alarm_rate:g} alarms a day",
            f"Evidently's own dataset verdict (half of the columns) alarms in {dataset:.0%} of the weeks",
        ),
    )


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
