"""What publishing survives: a server that restarts in mid COPY, sessions that are cut, a full disk."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan

from features.errors import KairosError, RefusedError
from infra import embedded_postgres, postgres_watchdog
from infra.database import connect
from infra.plan_content import ContentDigest, PlanRows, canonical_rows
from infra.plan_store import PlanStore
from infra.tables import BATCHES_SCHEMA


@dataclass(frozen=True)
class Interrupted:
    """A plan at whose items something happens, half of them read."""

    rows: PlanRows
    happens: Callable[[], None]

    @property
    def digest(self) -> ContentDigest:
        return self.rows.digest

    def chunks(self, table: str) -> Iterator[pa.BinaryArray]:
        (whole,) = self.rows.encoded[table]
        half = len(whole) // 2
        yield whole.slice(0, half)
        if table == "push_plan_item":
            self.happens()
        yield whole.slice(half)


def tables(database) -> list[str]:
    query = f"SELECT tablename FROM pg_tables WHERE schemaname = '{BATCHES_SCHEMA}'"
    return [name for (name,) in database.read_only(query)[1]]


@pytest.fixture
def rows() -> PlanRows:
    return canonical_rows(small_plan(users=2_000), PLAN_DATE)


@pytest.fixture
def own_server(tmp_path: Path):
    """(a database on a server that only this test uses, a function that crashes and restarts the server)."""
    home = tmp_path / "home"
    database = connect(embedded_postgres.start_embedded(home))
    database.migrate()
    folder = home.resolve() / "postgres"

    def restart() -> None:
        pid = postgres_watchdog.postmaster_pid(folder / "data")
        os.kill(pid, signal.SIGQUIT)  # at once, as when the machine goes down
        while postgres_watchdog.postmaster_pid(folder / "data") == pid:
            time.sleep(0.02)
        embedded_postgres._running_server(folder)

    yield database, restart
    database.close()
    embedded_postgres.release_embedded(home)


def test_a_server_that_restarts_in_mid_copy_costs_the_run_not_the_plan(own_server, rows: PlanRows) -> None:
    database, restart = own_server
    store = PlanStore(database)
    before = store.publish(small_plan(users=5, score=0.1), **PUBLICATION)
    with pytest.raises(KairosError, match=r"was lost|terminat|recovery|shut") as failure:
        store.publish_content(Interrupted(rows, restart), **PUBLICATION)
    assert "\n" not in str(failure.value)
    assert store.live_batch(PLAN_DATE).batch_id == before.batch_id
    assert len(store.read_live(PLAN_DATE)) == 5

    batch = store.publish_content(rows, **PUBLICATION)
    assert batch.checksum == rows.digest.checksum
    assert len(store.read_live(PLAN_DATE)) == 2_000
    assert len(tables(database)) == 6


def test_a_planners_session_cut_in_mid_copy(database, rows: PlanRows) -> None:
    """Loading has sessions beside the one that holds the lock: whichever is cut, nothing goes live."""
    store = PlanStore(database)

    def cut(which: str) -> Callable[[], None]:
        def happens() -> None:
            with database.session() as session:
                session.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                    f"AND datname = current_database() AND query {which} 'COPY%' AND pid IN "
                    "(SELECT pid FROM pg_locks WHERE locktype IN ('advisory', 'relation'))"
                )

        return happens

    for which in ("LIKE", "NOT LIKE"):
        with pytest.raises(KairosError, match="was lost"):
            store.publish_content(Interrupted(rows, cut(which)), **PUBLICATION)
        assert store.live_batch(PLAN_DATE) is None
    assert store.publish_content(rows, **PUBLICATION).checksum == rows.digest.checksum
    assert len(tables(database)) == 3


def test_a_planners_session_cut_between_copy_and_switch(database, rows: PlanRows) -> None:
    """All is loaded, nothing switched: the next run switches to what lies there, without loading again."""
    store = PlanStore(database)
    before = store.publish(small_plan(users=5, score=0.1), **PUBLICATION)

    def cut() -> None:
        with database.session() as session:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND datname = current_database() AND pid IN (SELECT pid FROM pg_locks "
                "WHERE locktype = 'advisory')"
            )

    with pytest.raises(KairosError, match="was lost"):
        store.publish_content(rows, **PUBLICATION, is_wanted=cut)
    assert store.live_batch(PLAN_DATE).batch_id == before.batch_id
    assert len(store.read_live(PLAN_DATE)) == 5

    def unread() -> None:
        raise AssertionError("loaded again")

    assert store.publish_content(Interrupted(rows, unread), **PUBLICATION).checksum == rows.digest.checksum
    assert len(store.read_live(PLAN_DATE)) == 2_000


def test_a_disk_that_fills_while_shards_are_read(database, rows: PlanRows) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    store = PlanStore(database)
    with pytest.raises(OSError, match="No space left"):
        store.publish_content(Interrupted(rows, full), **PUBLICATION)
    assert store.live_batch(PLAN_DATE) is None
    assert store.publish_content(rows, **PUBLICATION).checksum == rows.digest.checksum


def test_rows_that_are_missing_from_the_files_are_not_published(database, rows: PlanRows) -> None:
    @dataclass(frozen=True)
    class Short(Interrupted):
        def chunks(self, table: str) -> Iterator[pa.BinaryArray]:
            yield self.rows.encoded[table][0].slice(0, 7)

    with pytest.raises(KairosError, match=r"7 rows of \w+ were read, must be \d+; its files changed"):
        PlanStore(database).publish_content(Short(rows, lambda: None), **PUBLICATION)
    assert PlanStore(database).live_batch(PLAN_DATE) is None


def test_a_plan_that_is_no_longer_wanted_does_not_go_live(database, rows: PlanRows) -> None:
    def taken_back() -> None:
        raise RefusedError("the champion was taken back")

    store = PlanStore(database)
    with pytest.raises(RefusedError, match="was taken back"):
        store.publish_content(rows, **PUBLICATION, is_wanted=taken_back)
    assert store.live_batch(PLAN_DATE) is None
    assert store.publish_content(rows, **PUBLICATION).checksum == rows.digest.checksum


def test_two_planners_at_once_one_wins(database, rows: PlanRows) -> None:
    loading, go = threading.Event(), threading.Event()

    def wait() -> None:
        loading.set()
        go.wait(30)

    outcome = []
    first = threading.Thread(
        target=lambda: outcome.append(
            PlanStore(database).publish_content(Interrupted(rows, wait), **PUBLICATION)
        )
    )
    first.start()
    assert loading.wait(30)
    with pytest.raises(KairosError, match="another run is publishing the plan for 2017-12-04"):
        PlanStore(database).publish(small_plan(), **PUBLICATION)
    go.set()
    first.join()
    assert outcome[0].rows == 2_000


def test_going_back_brings_the_earlier_batch_back(database, rows: PlanRows) -> None:
    store = PlanStore(database)
    first = store.publish_content(rows, **PUBLICATION)
    store.publish(small_plan(score=0.9), **PUBLICATION)
    assert store.rollback(PLAN_DATE).batch_id == first.batch_id
    assert set(store.read_live(PLAN_DATE)["batch_id"]) == {first.batch_id}
