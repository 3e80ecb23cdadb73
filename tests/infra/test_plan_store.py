"""A reader always sees exactly one whole batch, whatever happens to the planner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan

from features.errors import KairosError, RefusedError
from infra.plan_content import canonical_rows
from infra.plan_store import PlanStore
from infra.tables import BATCHES_SCHEMA

HERE = Path(__file__).parent


def batches(database):
    return dict(database.read_only("SELECT batch_id, status FROM kairos.push_batch")[1])


def partitions(database) -> int:
    query = f"SELECT count(*) FROM pg_tables WHERE schemaname = '{BATCHES_SCHEMA}'"
    return database.read_only(query)[1][0][0]


@contextmanager
def held_reader(database):
    """A reader whose open transaction makes a publication wait between attaching and switching."""
    with database.transaction() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM kairos.push_plan_live")
        yield


def wait_until(condition, seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "waited too long"
        time.sleep(0.02)


def test_a_published_plan_is_what_the_gateway_reads(database):
    store, plan = PlanStore(database), small_plan()
    batch = store.publish(plan, **PUBLICATION)

    assert (batch.rows, batch.users, batch.changed, batch.plan_date) == (20, 20, True, PLAN_DATE)
    live = store.read_live(PLAN_DATE).set_index("push_id").loc[plan.pushes["push_id"]].reset_index()
    columns = list(plan.pushes.columns)
    pd.testing.assert_frame_equal(live[columns], plan.pushes, check_dtype=False)
    assert set(live["batch_id"]) == {batch.batch_id}
    assert set(live["model_version"]) == {"model-1"}
    assert len(store.read_items(PLAN_DATE, "user-3")) == 2
    stopped = store.read_suppressions(PLAN_DATE, "user-2")
    assert len(stopped) == 2
    assert stopped["slot"].tolist() == ["evening", None]
    assert store.live_batch(PLAN_DATE) == replace(batch, changed=False)
    assert store.live_batch(date(2018, 1, 1)) is None


def test_a_rerun_changes_nothing(database):
    store, plan = PlanStore(database), small_plan()
    first = store.publish(plan, **PUBLICATION)
    shuffled = replace(
        plan,
        pushes=plan.pushes.sample(frac=1, random_state=1),
        items=plan.items.sample(frac=1, random_state=2),
        suppressions=plan.suppressions.sample(frac=1, random_state=3),
    )
    second = store.publish(shuffled, **PUBLICATION)

    assert second == replace(first, changed=False)
    assert batches(database) == {first.batch_id: "live"}
    assert partitions(database) == 3


def test_the_checksum_sees_every_column_and_no_dtype():
    plan = small_plan()
    checksum = canonical_rows(plan, PLAN_DATE).digest.checksum
    other_types = plan.pushes.assign(
        user_id=plan.pushes["user_id"].astype("string"),
        slot=plan.pushes["slot"].astype("category"),
        send_at=plan.pushes["send_at"].dt.tz_convert("Asia/Tokyo").dt.as_unit("ms"),
        plan_date=pd.Timestamp(PLAN_DATE),
        unknown_column=1,
    )
    assert canonical_rows(replace(plan, pushes=other_types), PLAN_DATE).digest.checksum == checksum
    assert (
        canonical_rows(replace(plan, suppressions=plan.suppressions[1:]), PLAN_DATE).digest.checksum
        != checksum
    )
    for column in ("score", "item_id"):
        changed = plan.items.assign(**{column: plan.items[column].to_numpy()[::-1] * 2})
        assert canonical_rows(replace(plan, items=changed), PLAN_DATE).digest.checksum != checksum


def test_an_empty_plan_can_be_published(database):
    batch = PlanStore(database).publish(small_plan(users=0, suppressions=0), **PUBLICATION)
    assert (batch.rows, batch.users) == (0, 0)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda p: replace(p, pushes=p.pushes.drop(columns="slot")), "plan.pushes has no column slot"),
        (
            lambda p: replace(p, pushes=p.pushes.assign(p_engage=None)),
            "plan.pushes.p_engage is empty in 20 of 20",
        ),
        (lambda p: replace(p, pushes=p.pushes.assign(user_id=7)), "plan.pushes.user_id must be text"),
        (
            lambda p: replace(p, pushes=p.pushes.assign(send_at=p.pushes["send_at"].dt.tz_localize(None))),
            "plan.pushes.send_at must be a time with its time zone",
        ),
        (
            lambda p: replace(p, pushes=p.pushes.assign(plan_date=date(2020, 1, 1))),
            "20 pushes of another date",
        ),
        (lambda p: replace(p, pushes=p.pushes[1:]), "2 items of no push"),
        (
            lambda p: replace(p, pushes=p.pushes.assign(user_id="same")),
            "push_plan_one_per_slot|duplicat|unique",
        ),
        (lambda p: replace(p, pushes=p.pushes.assign(slot="noon")), "push_plan_slot_check"),
        (lambda p: replace(p, items=p.items.assign(rank=1)), "breaks a rule of push_plan_item"),
    ],
)
def test_a_malformed_plan_is_refused_in_one_line_and_leaves_the_live_one(database, damage, message):
    store = PlanStore(database)
    live = store.publish(small_plan(), **PUBLICATION)
    with pytest.raises(KairosError, match=message) as refusal:
        store.publish(damage(small_plan(score=0.7)), **PUBLICATION)
    assert "\n" not in str(refusal.value)
    assert store.live_batch(PLAN_DATE) == replace(live, changed=False)


def test_a_reader_never_sees_none_or_two_batches(database):
    store = PlanStore(database)
    store.publish(small_plan(), **PUBLICATION)
    seen, stop = [], threading.Event()

    def read() -> None:
        with database.session() as session:
            while not stop.is_set():
                seen.extend(
                    session.execute(
                        "SELECT count(*), count(DISTINCT batch_id) FROM kairos.push_plan_live "
                        "WHERE plan_date = '2017-12-04'"
                    ).fetchall()
                )

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        for step in range(12):
            store.publish(small_plan(score=step), **PUBLICATION)
            if step % 4 == 3:
                store.rollback(PLAN_DATE)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert len(seen) > 20
    assert set(seen) == {(20, 1)}


def test_old_batches_are_dropped_and_the_kept_ones_can_be_gone_back_to(database):
    store = PlanStore(database, kept_batches=2)
    published = [store.publish(small_plan(score=step), **PUBLICATION).batch_id for step in range(5)]
    assert partitions(database) == 3 * 3
    assert batches(database)[published[0]] == "superseded"

    assert store.rollback(PLAN_DATE).batch_id == published[3]
    assert store.rollback(PLAN_DATE).batch_id == published[2]
    with pytest.raises(RefusedError, match="no earlier batch to go back to"):
        store.rollback(PLAN_DATE)
    assert batches(database)[published[4]] == "rolled_back"
    assert set(store.read_live(PLAN_DATE)["batch_id"]) == {published[2]}


def test_the_same_plan_can_be_published_again_after_a_rollback_and_after_its_rows_were_dropped(database):
    store = PlanStore(database, kept_batches=1)
    old = store.publish(small_plan(score=1), **PUBLICATION)
    new = store.publish(small_plan(score=2), **PUBLICATION)
    store.rollback(PLAN_DATE)
    assert store.publish(small_plan(score=2), **PUBLICATION) == new
    assert batches(database) == {old.batch_id: "superseded", new.batch_id: "live"}

    store.publish(small_plan(score=3), **PUBLICATION)  # drops the rows of `old`
    assert store.publish(small_plan(score=1), **PUBLICATION) == old
    assert store.read_live(PLAN_DATE)["expected_value"].unique().tolist() == [1.0]


def test_another_model_with_the_same_content_is_another_batch(database):
    store = PlanStore(database)
    first = store.publish(small_plan(), **PUBLICATION)
    second = store.publish(small_plan(), **(PUBLICATION | {"model_version": "model-2"}))
    assert second.changed
    assert second.checksum == first.checksum
    assert second.batch_id != first.batch_id


def test_a_replan_knows_the_pushes_that_were_already_due(database):
    store = PlanStore(database)
    store.publish(small_plan(), **PUBLICATION)
    due = datetime(2017, 12, 4, 15, tzinfo=UTC)  # when every push of the small plan is sent
    assert store.pushes_already_due(PLAN_DATE, due).empty
    assert store.pushes_already_due(PLAN_DATE, PUBLICATION["as_of"]).empty, "a rerun does not count itself"
    later = due + timedelta(hours=1)
    assert len(store.pushes_already_due(PLAN_DATE, later)) == 20
    store.publish(small_plan(users=3, score=0.9), **(PUBLICATION | {"as_of": later}))
    assert len(store.pushes_already_due(PLAN_DATE, later)) == 20, "superseded, and sent all the same"
    assert store.pushes_already_due(PLAN_DATE - timedelta(days=1), later).empty


def test_dates_do_not_disturb_each_other(database):
    store = PlanStore(database)
    store.publish(small_plan(), **PUBLICATION)
    tomorrow = PLAN_DATE + timedelta(days=1)
    plan = small_plan(users=4)
    plan = replace(plan, pushes=plan.pushes.assign(plan_date=tomorrow))
    store.publish(plan, **(PUBLICATION | {"plan_date": tomorrow}))
    assert len(store.read_live(PLAN_DATE)) == 20
    assert len(store.read_live(tomorrow)) == 4
    since = datetime(2017, 12, 1, tzinfo=UTC)
    assert len(store.planned_pushes(since)) == 24
    assert len(store.planned_pushes(since, before=tomorrow)) == 20
    assert store.planned_pushes(datetime(2018, 1, 1, tzinfo=UTC)).empty


def test_planners_of_two_dates_work_side_by_side(database):
    failures = []

    def publish(day: date) -> None:
        store = PlanStore(database, kept_batches=1)
        for step in range(8):
            plan = small_plan(score=step)
            plan = replace(plan, pushes=plan.pushes.assign(plan_date=day))
            try:
                store.publish(plan, **(PUBLICATION | {"plan_date": day}))
            except KairosError as error:
                failures.append(str(error))

    days = [PLAN_DATE + timedelta(days=offset) for offset in range(3)]
    planners = [threading.Thread(target=publish, args=(day,)) for day in days]
    for planner in planners:
        planner.start()
    for planner in planners:
        planner.join()
    assert failures == []
    assert all(len(PlanStore(database).read_live(day)) == 20 for day in days)


def test_the_second_planner_of_a_date_is_told_so(database):
    store = PlanStore(database)
    outcome = []
    with held_reader(database):
        first = threading.Thread(target=lambda: outcome.append(store.publish(small_plan(), **PUBLICATION)))
        first.start()
        wait_until(lambda: partitions(database) == 3)
        message = "another run is publishing the plan for 2017-12-04; wait for it or stop it"
        with pytest.raises(KairosError, match=message):
            PlanStore(database).publish(small_plan(score=2), **PUBLICATION)
    first.join()
    assert batches(database) == {outcome[0].batch_id: "live"}


PUBLISH = """
import sys
from plans import PUBLICATION, small_plan
from infra.database import connect
from infra.plan_store import PlanStore
store = PlanStore(connect(sys.argv[1]), reader_wait_seconds=60)
store.publish(small_plan(score=float(sys.argv[2])), **PUBLICATION)
"""


@pytest.mark.parametrize("after_the_crash", [2.0, 3.0], ids=["the same plan", "another plan"])
def test_a_planner_killed_before_the_switch_leaves_nothing_behind(database, after_the_crash):
    store = PlanStore(database)
    live = store.publish(small_plan(score=1), **PUBLICATION)
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1])])
    with held_reader(database):
        planner = subprocess.Popen(
            [sys.executable, "-c", PUBLISH, database.url, "2.0"], env=os.environ | {"PYTHONPATH": paths}
        )
        wait_until(lambda: partitions(database) == 6)
        planner.send_signal(signal.SIGKILL)
        planner.wait()
    assert store.live_batch(PLAN_DATE) == replace(live, changed=False)
    assert sorted(batches(database).values()) == ["live", "staged"]

    plan = small_plan(score=after_the_crash)
    batch = store.publish(plan, **PUBLICATION)
    assert batch.checksum == canonical_rows(plan, PLAN_DATE).digest.checksum
    assert batches(database) == {live.batch_id: "superseded", batch.batch_id: "live"}
    assert partitions(database) == 6
    assert len(store.read_live(PLAN_DATE)) == 20


def test_a_lost_connection_is_one_line_and_the_rerun_succeeds(database):
    store = PlanStore(database, reader_wait_seconds=60)
    failures = []

    def publish() -> None:
        try:
            store.publish(small_plan(), **PUBLICATION)
        except KairosError as error:
            failures.append(str(error))

    with held_reader(database):
        planner = threading.Thread(target=publish)
        planner.start()
        wait_until(lambda: partitions(database) == 3)
        with database.session() as session:
            session.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks "
                "WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
        planner.join()
    assert len(failures) == 1
    assert "was lost" in failures[0]
    assert "\n" not in failures[0]
    assert store.live_batch(PLAN_DATE) is None
    assert store.publish(small_plan(), **PUBLICATION).changed


def test_publishing_goes_on_beside_a_forgotten_reader(database):
    store = PlanStore(database, kept_batches=1, reader_wait_seconds=0.1)
    with held_reader(database):
        for step in range(3):
            last = store.publish(small_plan(score=step), **PUBLICATION)
    assert store.live_batch(PLAN_DATE) == replace(last, changed=False)
    store.publish(small_plan(score=9), **PUBLICATION)  # also finishes what the reader held up
    assert partitions(database) == 6
