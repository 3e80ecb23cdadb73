"""What readers of the live plan notice of a publication: the slowest answer, and half answers."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from infra.database import Database
from infra.plan_content import canonical_rows
from infra.plan_store import PlanStore
from tests.benchmarks.scoring_parts.made_up_plan import PLAN_DATE, PUBLICATION, made_up_plan
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say
from tests.benchmarks.scoring_parts.server import throwaway_database

FULL_ROWS = 2_000_000
READERS = 8
_ROOT = Path(__file__).resolve().parents[3]
_READER = """
import json, os, sys, time
import psycopg
where, name, stop, out = sys.argv[1:]
slowest, times, wrong, batches = 0.0, [], 0, set()
sizes = {}
with psycopg.connect(where, autocommit=True) as session:
    number = 0
    while not os.path.exists(stop):
        number += 1
        began = time.perf_counter()
        # One user's pushes, as a gateway asks; both plans have exactly one for every user.
        rows = session.execute(
            "SELECT batch_id FROM kairos.push_plan_live WHERE plan_date = %s AND user_id = %s",
            ["2026-03-02", f"u{number * 7919 % 1000:07d}"],
        ).fetchall()
        times.append(time.perf_counter() - began)
        wrong += len(rows) != 1
        batches |= {row[0] for row in rows}
        time.sleep(0.02)
times.sort()
told = {"max": times[-1], "p99": times[int(len(times) * 0.99)], "median": times[len(times) // 2],
        "reads": len(times), "wrong": wrong, "batches": len(batches)}
open(out, "w").write(json.dumps(told))
"""


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """What readers noticed at the largest size."""
    rows = round(max(effort.sizes) * FULL_ROWS)
    say(f"{READERS} readers, {rows:,} rows")
    told = noticed(rows, READERS)
    names = ("reader_max_ms", "partial_reads", "reader_max_ms_without_a_publication", "rollback_seconds")
    return Found(
        {name: told[name] for name in names} | {"readers": told},
        f"slowest of {told['reads']:,} answers {told['reader_max_ms']:.0f} ms, "
        f"{told['partial_reads']} partial",
        notes=(
            f"while nothing was published the slowest answer took "
            f"{told['reader_max_ms_without_a_publication']:.0f} ms on {os.cpu_count()} cores",
        ),
    )


def noticed(rows: int, readers: int) -> dict[str, Any]:
    """reader_max_ms and partial_reads of `readers` processes while about `rows` rows become live.

    Beside them the slowest answer of the same readers while nothing is published: what the machine itself
    makes them wait.
    """
    plan = made_up_plan(rows // 9)  # a push, five items and three suppressions a user
    content = canonical_rows(plan, PLAN_DATE)
    with throwaway_database() as database:
        store = PlanStore(database)
        store.publish(made_up_plan(1_000, seed=3), **PUBLICATION)
        idle = _read(database, readers, lambda: time.sleep(5.0))
        began = time.perf_counter()
        busy = _read(database, readers, lambda: store.publish_content(content, **PUBLICATION))
        seconds = time.perf_counter() - began
        began = time.perf_counter()
        store.rollback(PLAN_DATE)
        rollback = time.perf_counter() - began
    return {
        "rollback_seconds": rollback,
        "rows": sum(content.digest.rows.values()),
        "publish_seconds": seconds,
        "readers": readers,
        "reads": sum(one["reads"] for one in busy),
        "partial_reads": sum(one["wrong"] for one in (*busy, *idle)),
        "batches_seen": max(one["batches"] for one in busy),
        "reader_max_ms": 1e3 * max(one["max"] for one in busy),
        "reader_p99_ms": 1e3 * max(one["p99"] for one in busy),
        "reader_median_ms": 1e3 * max(one["median"] for one in busy),
        "reader_max_ms_without_a_publication": 1e3 * max(one["max"] for one in idle),
        "load": os.getloadavg()[0],
    }


def _read(database: Database, readers: int, meanwhile: Any) -> list[dict[str, Any]]:
    """What each reader saw from before `meanwhile` to after it."""
    import json

    where = database.url.replace("postgresql+psycopg://", "postgresql://")
    with tempfile.TemporaryDirectory() as folder:
        stop = Path(folder) / "stop"
        outs = [Path(folder) / f"{number}.json" for number in range(readers)]
        processes = [
            subprocess.Popen([sys.executable, "-c", _READER, where, str(n), str(stop), str(out)], cwd=_ROOT)
            for n, out in enumerate(outs)
        ]
        time.sleep(2.0)  # their imports
        meanwhile()
        stop.touch()
        for process in processes:
            if process.wait(60) != 0:
                raise RuntimeError("a reader failed")
        return [json.loads(out.read_text(encoding="utf-8")) for out in outs]


PART = Part(
    "readers",
    measure,
    {
        "reader_max_ms": ("at most", 50.0),
        "partial_reads": ("at most", 0.0),
        "rollback_seconds": ("at most", 1.0),
    },
)
