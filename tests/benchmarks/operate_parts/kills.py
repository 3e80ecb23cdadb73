"""Ten kills at moments drawn by chance while a cycle runs, and the same cycle left in peace beside it."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from rich.table import Table

from tests.benchmarks.operate_parts.platform import (
    RunningUp,
    awaited,
    has_ended,
    running_up,
    small_shop_environment,
)
from tests.benchmarks.operate_parts.schedule import held_slots
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say
from tests.flows.small_market import AS_OF

KILLS = 10
_VICTIMS = ("worker", "run", "Prefect's server", "PostgreSQL")
_PAUSE_SECONDS = (3.0, 20.0)
_RUN_SECONDS = 3600
_FREE_SECONDS = 120.0
_DUPLICATES = """
SELECT (SELECT count(*) - count(DISTINCT push_id) FROM kairos.push_plan_live)
     + (SELECT count(*) FROM (SELECT plan_date FROM kairos.push_batch WHERE status = 'live'
                              GROUP BY 1 HAVING count(*) > 1) AS d)
     + (SELECT count(*) FROM (SELECT plan_date, user_id, slot FROM kairos.push_plan_live
                              GROUP BY 1, 2, 3 HAVING count(*) > 1) AS d) AS duplicates
"""
_BATCHES = "SELECT plan_date::text, rows, checksum FROM kairos.push_batch WHERE status = 'live' ORDER BY 1"


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """A cycle a day until all kills are done; then each of them in peace in another home."""
    rng = np.random.default_rng(effort.seed)
    (folder / "hurt").mkdir()
    (folder / "calm").mkdir()
    hurt = small_shop_environment(folder / "hurt")
    wanted = KILLS if max(effort.sizes) >= 1 else 3
    done: list[tuple[str, str]] = []
    days: list[str] = []
    states: list[dict[str, Any]] = []
    with running_up(folder / "hurt", hurt) as up:
        while len(done) < wanted:
            days.append(str(AS_OF - timedelta(days=wanted - len(days))))
            run = up.start_run("cycle/scheduled", {"as_of": f"{days[-1]}T00:00:00Z"})
            awaited(lambda of=run: _has_begun(up, of), 600, "begin of the cycle")  # type: ignore[misc]
            while len(done) < wanted and not has_ended(up.run(run)):
                time.sleep(float(rng.uniform(*_PAUSE_SECONDS)))
                victim = str(rng.choice(_VICTIMS))
                say(f"kill {len(done) + 1} of {wanted}: {victim}")
                if _kill(up, victim):
                    done.append((victim, days[-1]))
                time.sleep(2.0)
                up.keep_up()
            say(f"cycle as of {days[-1]} goes on")
            states.append(up.await_ended(run, _RUN_SECONDS))
        found = _rows(up)
        slots = _still_held(up)
        duplicates = found["duplicates"]
        up.stop()
        orphans = up.orphans()
    say("the same in peace")
    calm = _calm(folder / "calm", days)
    unlike = [one for one in calm if one not in found["batches"]]
    unlike += [one for one in found["batches"] if one not in calm]
    figures = {
        "kills": len(done),
        "kills_by_part": {name: sum(one == name for one, _ in done) for name in _VICTIMS},
        "cycles": len(states),
        "cycles_not_completed": sum(run["state"]["type"] != "COMPLETED" for run in states),
        "starts_of_runs": [run["run_count"] for run in states],
        "ups": up.starts,
        "duplicate_rows": duplicates,
        "held_slots": len(slots),
        "orphans_after_kills": len(orphans),
        "plans_unlike_calm": len(unlike),
    }
    words = f"{len(done)} kills, {len(states)} cycles, {figures['cycles_not_completed']} not completed"
    notes = (
        "killed by SIGKILL: the worker (its run's process lives on), the run's process, Prefect's server or "
        "PostgreSQL's postmaster; a kairos up that gave up was started again, as a person would",
        *(f"left running: {one}" for one in orphans),
        *(f"held: {one}" for one in slots),
        *(f"a live batch of one home alone: {one}" for one in unlike),
        *(f"{run['name']}: {run['state']['message']}" for run in states if run["state"]["message"]),
    )
    return Found(figures, words, (_table(done, states, days),), notes)


def _still_held(up: RunningUp) -> list[str]:
    """What is held for two minutes and more after the last cycle."""
    give_up = time.monotonic() + _FREE_SECONDS
    while (held := held_slots(up)) and time.monotonic() < give_up:
        time.sleep(1.0)
    return held


def _has_begun(up: RunningUp, run: str) -> bool | None:
    return True if up.run(run)["state"]["type"] not in ("SCHEDULED", "PENDING") else None


def _kill(up: RunningUp, part: str) -> bool:
    """Whether there was such a process to kill."""
    for process in [*(up.run_processes() if part == "run" else up.processes().get(part, []))][:1]:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            return False
        return True
    return False


def _rows(up: RunningUp) -> dict[str, Any]:
    """What the database holds at the end."""
    (counted,) = _sql(up.program, up.environment, up.cwd, _DUPLICATES)
    return {
        "duplicates": int(counted["duplicates"]),
        "batches": _sql(up.program, up.environment, up.cwd, _BATCHES),
    }


def _calm(folder: Path, days: list[str]) -> list[dict[str, Any]]:
    """The live batches of a home in which nothing was killed."""
    environment = small_shop_environment(folder)
    with running_up(folder, environment) as up:
        for day in days:
            up.await_ended(up.start_run("cycle/scheduled", {"as_of": f"{day}T00:00:00Z"}), _RUN_SECONDS)
        return _sql(up.program, environment, folder, _BATCHES)


def _sql(program: Path, environment: Any, cwd: Path, query: str) -> list[dict[str, Any]]:
    asked = [program, "sql", query, "--json"]
    answer = subprocess.run(asked, env=dict(environment), cwd=cwd, check=True, capture_output=True, text=True)
    rows: list[dict[str, Any]] = json.loads(answer.stdout)
    return rows


def _table(done: list[tuple[str, str]], states: list[dict[str, Any]], days: list[str]) -> Table:
    table = Table(
        title="Kills, and what became of the cycles", title_justify="left", box=None, pad_edge=False
    )
    for name in ("cycle as of", "killed, in order", "starts", "state"):
        table.add_column(name)
    for day, run in zip(days, states, strict=True):
        killed = ", ".join(victim for victim, of in done if of == day) or "-"
        table.add_row(day, killed, str(run["run_count"]), run["state"]["type"].lower())
    return table


PART = Part(
    "kills",
    measure,
    {
        "cycles_not_completed": ("at most", 0.0),
        "duplicate_rows": ("at most", 0.0),
        "held_slots": ("at most", 0.0),
        "orphans_after_kills": ("at most", 0.0),
        "plans_unlike_calm": ("at most", 0.0),
    },
)
