"""A plan made in shards is the plan made at once, whoever makes the shards and whoever dies meanwhile."""

from __future__ import annotations

import hashlib
import os
import random
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from datetime import time as clock
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from small_market import AS_OF

from features.errors import KairosError
from features.user_buckets import BUCKETS, bucket_ranges, shards_for, user_buckets
from flows.day_scores import DayScores
from flows.planned_shards import PlannedShards, planned_shards
from flows.scored_shards import remove_scores, scored_shards
from infra.plan_content import PLAN_TABLES, canonical_rows
from infra.settings import load_settings

MOMENT = datetime.combine(AS_OF, clock(), UTC)
REPOSITORY = Path(__file__).parents[2]
KILLS = 3
MANY_KILLS = 20


@pytest.fixture(scope="module")
def parts():
    """(a whole small plan, a function that gives its rows of some buckets)."""
    sys.path.insert(0, str(REPOSITORY / "tests" / "infra"))
    from plans import PLAN_DATE, small_plan

    plan = small_plan(users=300, suppressions=500)

    def part(buckets: range):
        def own(frame: pd.DataFrame) -> pd.DataFrame:
            bucket = user_buckets(frame["user_id"].to_numpy())
            return frame[(bucket >= buckets.start) & (bucket < buckets.stop)]

        pushes = own(plan.pushes)
        items = plan.items[plan.items["push_id"].isin(pushes["push_id"])]
        shard = replace(plan, pushes=pushes, items=items, suppressions=own(plan.suppressions))
        return canonical_rows(shard, PLAN_DATE, buckets)

    return plan, PLAN_DATE, part


def write(folder: Path, count: int, part, order=None) -> PlannedShards:
    shards = planned_shards(folder, "inputs", count)
    ranges = bucket_ranges(count)
    for number in order or range(count):
        shards.shards[number].write(part(ranges[number]), {"pushes": 1})
    return shards


def content_of(plan) -> dict[str, str]:
    return {
        table: hashlib.sha256(
            repr([row for chunk in plan.chunks(table) for row in chunk.to_pylist()]).encode()
        ).hexdigest()
        for table in PLAN_TABLES
    }


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_any_number_of_shards_is_the_same_plan(parts, tmp_path: Path, count: int) -> None:
    plan, day, part = parts
    whole = canonical_rows(plan, day)
    shards = write(tmp_path, count, part)
    assert shards.digest.checksum == whole.digest.checksum
    assert shards.digest.users == whole.digest.users
    assert content_of(shards) == content_of(whole)
    assert shards.summary == {"pushes": count}


def test_shards_made_twice_and_in_any_order_are_the_same_plan(parts, tmp_path: Path) -> None:
    plan, day, part = parts
    whole = canonical_rows(plan, day)
    shards = write(tmp_path, 4, part, order=[2, 0, 3, 1, 2, 2, 0])
    mixed = PlannedShards(tuple(shards.shards[n] for n in (3, 1, 0, 2)))
    assert mixed.digest.checksum == whole.digest.checksum
    assert content_of(mixed) == content_of(whole)


@pytest.mark.parametrize("chosen", [(0, 1, 1, 2, 3), (0, 1, 3), (1, 2, 3)])
def test_a_shard_that_is_there_twice_or_not_at_all_is_no_plan(parts, tmp_path: Path, chosen) -> None:
    shards = write(tmp_path, 4, parts[2])
    with pytest.raises(KairosError, match=r"buckets .*give (each part once|all of them)"):
        _ = PlannedShards(tuple(shards.shards[n] for n in chosen)).digest


@contextmanager
def full_disk() -> Iterator[None]:
    """No file may grow beyond 4 kB."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.getsignal(signal.SIGXFSZ)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_no_shard_that_counts(parts, tmp_path: Path) -> None:
    shards = write(tmp_path, 2, parts[2], order=[0])
    with full_disk(), pytest.raises(OSError, match="File too large"):
        shards.shards[1].write(parts[2](bucket_ranges(2)[1]), {"pushes": 1})
    assert shards.missing == [1]
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name]
    shards.shards[1].write(parts[2](bucket_ranges(2)[1]), {"pushes": 1})
    assert content_of(shards) == content_of(canonical_rows(parts[0], parts[1]))


def test_a_full_disk_leaves_no_scores_that_count(tmp_path: Path) -> None:
    shard = scored_shards(load_settings(home=tmp_path), "m1", AS_OF, MOMENT, "inputs", 10).shards[0]
    many = pd.DataFrame({"user_id": [f"u{n}" for n in range(5_000)], "score": np.arange(5_000) / 7})
    with full_disk(), pytest.raises(OSError, match="File too large"):
        shard.write(DayScores(many, many))
    assert not shard.exist and not [*tmp_path.glob("scored/*/*")]
    shard.write(DayScores(many, many))
    assert shard.exist and len(shard.read_timing()) == 5_000


def test_scores_of_days_gone_by_do_not_pile_up(tmp_path: Path) -> None:
    for version, name in (("m1", "2017-11-26-x.timing.parquet"), ("m2", "2017-11-27-x.candidates.parquet")):
        (tmp_path / version).mkdir()
        (tmp_path / version / name).touch()
    remove_scores(tmp_path, date(2017, 11, 27))
    assert [path.name for path in tmp_path.glob("*/*")] == ["2017-11-27-x.candidates.parquet"]


def test_a_file_that_was_damaged_is_noticed(parts, tmp_path: Path) -> None:
    shards = write(tmp_path, 2, parts[2])
    path = shards.shards[0].file("push_plan_item")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(KairosError, match=r"push_plan_item\.arrow has another checksum .* run kairos score"):
        content_of(shards)


def test_shards_are_as_many_as_memory_asks() -> None:
    assert [shards_for(users, 5_000) for users in (0, 5_000, 5_001, 200_000)] == [1, 1, 2, 40]
    assert shards_for(10**9, 1) == BUCKETS
    assert [list(one) for one in bucket_ranges(2)] == [list(range(512)), list(range(512, 1024))]


# --- the flow -------------------------------------------------------------------------------------


@pytest.fixture
def sharded(first_cycle, monkeypatch: pytest.MonkeyPatch):
    """The first cycle's home, whose plan is now made in shards of about 60 users."""
    monkeypatch.setenv("KAIROS_USERS_PER_SHARD", "60")
    monkeypatch.setenv("KAIROS_SHARD_PROCESSES", "1")
    _forget(first_cycle.champion)  # that a plan was made: else there would be nothing to do
    yield first_cycle
    _forget(first_cycle.champion)


def _forget(champion: str) -> None:
    """Removes what shards left, so that the next test makes them again."""
    from flows.wiring import open_stores
    from infra.settings import load_settings

    stores = open_stores(load_settings(users_per_shard=60))
    for folder in ("scored", "planned"):
        for path in (stores.settings.home / folder / champion).glob("*-of-0005*"):
            path.unlink()
    for path in (stores.settings.home / "scored" / champion).glob(f"{AS_OF}*.plan.json"):
        path.unlink()


@pytest.mark.parametrize("processes", ["1", "2"])
def test_shards_publish_the_very_plan_that_was_made_at_once(sharded, monkeypatch, processes) -> None:
    from flows.candidate_scores import files_of
    from flows.score import score
    from flows.wiring import open_stores

    monkeypatch.setenv("KAIROS_SHARD_PROCESSES", processes)
    batch = score(as_of=MOMENT, plan_date=AS_OF)
    assert (batch.batch_id, batch.checksum) == (sharded.batch_id, sharded.checksum)
    assert not batch.changed
    stores = open_stores()
    files = files_of(stores, sharded.champion, MOMENT, AS_OF)
    assert len(files.shards) == 5 and files.exist


def test_a_single_shard_can_be_made_again(sharded) -> None:
    from flows.candidate_scores import files_of, score_candidates
    from flows.score import score
    from flows.wiring import open_stores

    stores = open_stores()
    files = files_of(stores, sharded.champion, MOMENT, AS_OF)
    score_candidates(sharded.champion, MOMENT, AS_OF)
    times = {shard.timing: shard.timing.stat().st_mtime_ns for shard in files.shards}
    files.shards[3].timing.unlink()
    assert files.missing == [3]
    assert score(as_of=MOMENT, plan_date=AS_OF).checksum == sharded.checksum
    changed = [
        shard.timing for shard in files.shards if shard.timing.stat().st_mtime_ns != times[shard.timing]
    ]
    assert changed == [files.shards[3].timing]


RUN = """
import sys
from datetime import date, datetime
from flows.candidate_scores import score_candidates
from flows.plan_batch import plan_candidates, plan_on_the_way, publish_plan
from flows.planners import planners_of
from flows.shard_processes import shard_processes
from infra.settings import load_settings

version, as_of, day = sys.argv[1], datetime.fromisoformat(sys.argv[2]), date.fromisoformat(sys.argv[3])
planners = planners_of(version, None)
print("begun", flush=True)
with shard_processes(load_settings()) as processes:
    score_candidates(version, as_of, day, processes, then=plan_on_the_way(planners[0], as_of, day))
    planned = plan_candidates(planners, as_of, day, processes)
print(publish_plan(planners, as_of, day, planned).checksum, flush=True)
"""


def _run(champion: str) -> subprocess.Popen[str]:
    from prefect.settings import PREFECT_API_URL

    environment = os.environ | {
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "KAIROS_SHARD_PROCESSES": "2",  # whoever works beside the killed run ends with it
    }
    command = [sys.executable, "-c", RUN, champion, MOMENT.isoformat(), AS_OF.isoformat()]
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def _finished(home: Path) -> int:
    """How many files of shards lie there whole."""
    every = (path for folder in ("scored", "planned") for path in home.glob(f"{folder}/*/[0-9]*-of-0005*"))
    return sum(not path.name.endswith(".partial") for path in every)


def _unpublish() -> None:
    """The day's batch was never there, so that the next run has to load it."""
    from flows.wiring import open_stores
    from infra.plan_partitions import drop_partitions

    with open_stores().database.session() as session:
        query = "SELECT batch_id FROM kairos.push_batch WHERE plan_date = %s"
        for (batch_id,) in session.execute(query, [AS_OF]).fetchall():
            assert drop_partitions(session, batch_id)
            session.execute("DELETE FROM kairos.push_batch WHERE batch_id = %s", [batch_id])


@pytest.mark.parametrize(
    "kills", [KILLS, pytest.param(MANY_KILLS, marks=pytest.mark.many_kills)], ids=["few", "many"]
)
def test_a_run_killed_at_any_moment_goes_on_where_it_stopped(sharded, kills: int) -> None:
    """Each run is killed a random moment after it got so much further, the last ones in publishing."""
    from flows.wiring import open_stores

    home, chance, files = open_stores().settings.home, random.Random(5), 5 * (2 + 4)
    _unpublish()
    for kill in range(1, kills + 1):
        run = _run(sharded.champion)
        assert run.stdout.readline() == "begun\n"
        while run.poll() is None and _finished(home) < files * kill // kills:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.2)
        run.kill()
        run.wait()
    last = _run(sharded.champion)
    told = last.communicate(timeout=300)[0].split()
    assert told == ["begun", sharded.checksum]
    assert not [*home.glob("scored/*/*.partial"), *home.glob("planned/*/*"), *home.glob("planned/*/.*")]


def test_two_workers_of_which_one_is_killed_make_the_same_plan(sharded, monkeypatch) -> None:
    from distributed import LocalCluster

    from flows.score import score

    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster:
        monkeypatch.setenv("KAIROS_DASK_ADDRESS", cluster.scheduler_address)
        killed = threading.Event()

        def kill() -> None:
            from infra.settings import load_settings

            home = load_settings().home
            while not list(home.glob("scored/*/*-of-0005*.timing.parquet")):
                time.sleep(0.01)
            worker = next(iter(cluster.workers.values()))
            os.kill(worker.process.pid, signal.SIGKILL)
            killed.set()

        killer = threading.Thread(target=kill, daemon=True)
        killer.start()
        batch = score(as_of=MOMENT, plan_date=AS_OF)
    assert killed.is_set()
    assert batch.checksum == sharded.checksum
