"""How soon a run starts that is due, and what becomes of all ten deployments due at the same moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from rich.table import Table

from tests.benchmarks.operate_parts.platform import RunningUp, a_moment, running_up, small_shop_environment
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say
from tests.flows.small_market import AS_OF

_RUN_SECONDS = 1800
_MOMENT = f"{AS_OF}T00:00:00Z"
_EXPERIMENT = {
    "name": "bench",
    "hypothesis": "An effect too small to find here is refused.",
    "owner": "bench",
    "start": str(AS_OF),
    "share": 0.5,
    "primary": "conversion",
    "mde": 0.001,
    "looks": [7],
    "arm": [{"name": "control", "share": 0.5}, {"name": "other", "share": 0.5}],
}
DEPLOYMENTS: dict[str, dict[str, Any]] = {
    "ingest/scheduled": {},
    "materialize/scheduled": {"as_of": _MOMENT},
    "train/scheduled": {"as_of": _MOMENT},
    "readout/scheduled": {"as_of": _MOMENT},
    "cycle/scheduled": {"as_of": _MOMENT},
    "score/scheduled": {"as_of": _MOMENT},
    "monitor/scheduled": {"as_of": _MOMENT},
    "backfill/by-hand": {"start": str(AS_OF - timedelta(days=3))},
    "launch_experiment/by-hand": {"experiment": _EXPERIMENT, "as_of": _MOMENT},
    "dispatch/by-hand": {"as_of": _MOMENT},
}


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """On a platform whose shop has had one cycle, so that each flow has something to stand on."""
    with running_up(folder, small_shop_environment(folder)) as up:
        say("first cycle")
        first = up.await_ended(up.start_run("cycle/scheduled", {"as_of": _MOMENT}), _RUN_SECONDS)
        single = []
        for number in range(effort.repeats):
            say(f"one run, {number + 1} of {effort.repeats}")
            due = a_moment(10.0)
            run = up.await_ended(up.start_run("ingest/scheduled", {}, due), _RUN_SECONDS)
            single.append((_moment(run["start_time"]) - due).total_seconds())
        say("ten at once")
        due = a_moment(10.0)
        asked = {name: up.start_run(name, given, due) for name, given in DEPLOYMENTS.items()}
        runs = {name: up.await_ended(run, _RUN_SECONDS) for name, run in asked.items()}
        slots = len(held_slots(up))
    spans = sorted((_moment(run["start_time"]), _moment(run["end_time"])) for run in runs.values())
    pauses = [(after - before).total_seconds() for (_, before), (after, _) in pairwise(spans)]
    figures = {
        "scheduled_to_started_seconds": max(single),
        "single_seconds": single,
        "first_cycle": first["state"]["type"],
        "ten_completed": sum(run["state"]["type"] == "COMPLETED" for run in runs.values()),
        "ten_overlaps": sum(pause < 0 for pause in pauses),
        "ten_longest_pause_seconds": max(pauses),
        "ten_first_start_seconds": (spans[0][0] - due).total_seconds(),
        "ten_held_slots": slots,
        "ten_states": {name: run["state"]["type"] for name, run in runs.items()},
    }
    words = f"started {max(single):.1f} s late at most; ten at once: {figures['ten_completed']} completed"
    notes = (
        "all ten write one home, so the pool runs one at a time and each waits for those before it: a pause "
        "is the time from one run's end to the next one's start, in which its process starts and imports",
    )
    return Found(figures, words, (_table(runs, due),), notes)


def held_slots(up: RunningUp) -> list[str]:
    """What holds a place: limits that are taken, and runs that Prefect believes to go on."""
    table = up.ask("/deployments/filter", {})
    limits = [one["global_concurrency_limit"] for one in table if one["global_concurrency_limit"]]
    active = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    taken = [f"limit {limit['name']}" for limit in limits for _ in range(limit["active_slots"])]
    runs = up.ask("/flow_runs/filter", active)
    return taken + [
        f"run {one['name']}, {one['state']['type'].lower()} since {one['state']['timestamp']}, "
        f"{'part of another' if one['parent_task_run_id'] else 'by itself'}"
        for one in runs
    ]


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _table(runs: dict[str, dict[str, Any]], due: datetime) -> Table:
    table = Table(title="Ten deployments due at one moment", title_justify="left", box=None, pad_edge=False)
    table.add_column("deployment")
    for name in ("started s", "ended s", "state"):
        table.add_column(name, justify="right")
    for name, run in sorted(runs.items(), key=lambda one: str(one[1]["start_time"])):
        times = [f"{(_moment(run[at]) - due).total_seconds():.0f}" for at in ("start_time", "end_time")]
        table.add_row(name, *times, run["state"]["type"].lower())
    return table


PART = Part(
    "schedule",
    measure,
    {
        "scheduled_to_started_seconds": ("at most", 20.0),
        "ten_completed": ("at least", 10.0),
        "ten_overlaps": ("at most", 0.0),
        "ten_longest_pause_seconds": ("at most", 20.0),
        "ten_held_slots": ("at most", 0.0),
    },
)
