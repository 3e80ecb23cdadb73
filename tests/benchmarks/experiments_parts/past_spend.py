"""CUPED on real spend: Complete Journey's households, spend in four weeks, with what they spent before.

An A/A experiment is made of every split date: households fall to two arms by the hash, the metric is spend in
the four weeks after the date, the covariate spend in the time before. The cut is of the variance of the
difference, as a readout tells it.
"""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
from rich.table import Table

from infra.sources.complete_journey import CompleteJourneySource
from models.experiments.assignment import arm_codes
from models.experiments.split import Arm, Split
from monitoring.experiments.cuped import covariates, difference, moments
from monitoring.experiments.metrics import Metric
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_DATES = tuple(date(2017, 5, 1) + timedelta(weeks=4 * number) for number in range(8))
_WINDOW_DAYS = 28
_PASTS_DAYS = (28, 56, 84)
_DECLARED_PAST = 84
_METRIC = Metric("spend", "amount", covariate="amount_before")


def spend(connection: duckdb.DuckDBPyConnection, begins: date, ends: date) -> dict[str, float]:
    """Household -> spend on days from `begins` on and before `ends`, of those that spent any."""
    rows = connection.execute(
        "SELECT user_id, sum(amount) FROM purchases WHERE day >= ? AND day < ? GROUP BY user_id",
        [begins, ends],
    ).fetchall()
    return {user: float(total) for user, total in rows}


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """The share of the variance that past spend takes off."""
    del folder, effort
    say("reading Complete Journey")
    connection = duckdb.connect()
    reader = (chunk for chunk in CompleteJourneySource().read("events"))
    for number, chunk in enumerate(reader):
        connection.register("chunk", chunk)
        made = "INSERT INTO purchases" if number else "CREATE TABLE purchases AS"
        connection.execute(
            f"{made} SELECT user_id, (event_ts AT TIME ZONE 'America/New_York')::DATE AS day, amount FROM "
            "chunk WHERE event_type = 'purchase'"
        )
    users = [
        user for (user,) in connection.execute("SELECT DISTINCT user_id FROM purchases ORDER BY 1").fetchall()
    ]
    cuts: dict[int, list[float]] = {days: [] for days in _PASTS_DAYS}
    z = []
    for begins in _DATES:
        say(f"spend after {begins:%d %B}")
        split = Split(f"spend {begins}", "benchmark", 0.0, 1.0, (Arm("control", 0.5), Arm("new", 0.5)))
        arm = arm_codes(users, split)
        after = spend(connection, begins, begins + timedelta(days=_WINDOW_DAYS))
        values = _METRIC.values({"amount": np.array([after.get(user, 0.0) for user in users])})
        for days in _PASTS_DAYS:
            before = spend(connection, begins - timedelta(days=days), begins)
            known = covariates(np.array([before.get(user, np.nan) for user in users]), len(users))
            found = difference(*(moments(values[arm == code], known[arm == code]) for code in (1, 0)))
            cuts[days].append(found.variance_cut)
        z.append(found.z)
    cut = float(np.mean(cuts[_DECLARED_PAST]))
    table = Table(box=None, pad_edge=False)
    table.add_column("split date")
    for days in _PASTS_DAYS:
        table.add_column(f"{days} days of past", justify="right")
    for number, begins in enumerate(_DATES):
        table.add_row(f"{begins:%Y-%m-%d}", *(f"{cuts[days][number]:.3f}" for days in _PASTS_DAYS))
    return Found(
        {
            "cuped_variance_cut": cut,
            "past_spend": {
                "households": len(users),
                "cut_by_days_of_past": {str(days): found for days, found in cuts.items()},
                "least_cut": min(cuts[_DECLARED_PAST]),
                "z": z,
            },
        },
        f"{cut:.1%} of the variance of spend; least of {len(_DATES)} dates {min(cuts[_DECLARED_PAST]):.1%}",
        (table,),
        (
            f"{len(users):,} households, spend in {_WINDOW_DAYS} days, past of {_DECLARED_PAST}; those "
            "without a purchase in it count as without a past",
        ),
    )


PART = Part("past_spend", measure, {"cuped_variance_cut": ("at least", 0.25)})
