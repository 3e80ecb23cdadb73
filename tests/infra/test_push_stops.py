"""A stop holds from its commit on, for what is planned already; a lifted one leaves its record."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime

import pandas as pd
import psycopg
import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan
from sqlalchemy.engine import make_url

from features.errors import RefusedError, UsageError
from infra.database import MIGRATIONS_DIR, connect
from infra.plan_sizes import PlanSizes, SizeApproval
from infra.plan_store import PlanStore
from infra.push_stops import PushStops, parse_scope

CATALOGUE = pd.DataFrame(
    {
        "item_id": [f"item-{n}" for n in range(7)],
        "category_path": ["food > dairy > milk", "food > dairy", "food > bread", *["home"] * 4],
        "available": [True, True, True, True, False, True, True],
        "stock": [float("nan"), 3.0, 1.0, 0.0, 5.0, 2.0, float("nan")],
    }
)


def live_users(database) -> set[str]:
    return set(PlanStore(database).read_live(PLAN_DATE)["user_id"])


def users_of(*items: int) -> set[str]:
    """Users of the small plan whose first item is one of these."""
    return {f"user-{n}" for n in range(20) if n % 7 in items}


@pytest.fixture
def stops(database) -> PushStops:
    """Stops beside a live plan of 20 pushes."""
    PlanStore(database).publish(small_plan(), **PUBLICATION)
    return PushStops(database)


EVERYBODY = users_of(*range(7))


@pytest.mark.parametrize(
    ("scope", "left"),
    [
        ("all", set()),
        ("channel:push", set()),
        ("channel:mail", EVERYBODY),
        ("campaign:spring", EVERYBODY),
        ("item:item-2", EVERYBODY - users_of(2)),
        ("category:food > dairy", EVERYBODY - users_of(0, 1)),
        ("category:food", EVERYBODY - users_of(0, 1, 2)),
        ("category:foo", EVERYBODY),
    ],
)
def test_a_switch_stops_its_scope_at_once_and_resuming_brings_it_back(stops, database, scope, left):
    catalogue = CATALOGUE.assign(available=True, stock=1.0)
    kind, target = parse_scope(scope)
    assert stops.stop(kind, target, "ann", "recall")
    if kind == "category":
        stops.mirror_items(catalogue)
    assert live_users(database) == left
    assert len(PlanStore(database).read_published(PLAN_DATE)) == 20, "what was published stays on record"
    assert not stops.stop(kind, target, "bob", "again"), "it is on already"
    [on] = stops.active()
    assert (on.name, on.who, on.why) == (scope, "ann", "recall")
    stops.resume(kind, target, "bob", "repaired")
    stops.mirror_items(catalogue)
    assert live_users(database) == EVERYBODY
    assert database.read_only("SELECT who, why, lifted_who, lifted_why FROM kairos.kill_switch")[1] == [
        ("ann", "recall", "bob", "repaired")
    ]
    with pytest.raises(RefusedError, match=r"is not stopped \(nothing is\)"):
        stops.resume(kind, target, "bob", "twice")


def test_a_campaign_is_the_experiment_of_a_push(stops, database):
    plan = small_plan(score=0.7)
    plan.pushes.loc[:4, "experiment"] = "spring"
    PlanStore(database).publish(plan, **PUBLICATION)
    stops.stop("campaign", "spring", "ann", "wrong texts")
    assert live_users(database) == EVERYBODY - {f"user-{n}" for n in range(5)}


def test_sold_out_and_withdrawn_items_leave_the_view_and_come_back(stops, database):
    assert stops.mirror_items(CATALOGUE) == 2
    assert live_users(database) == EVERYBODY - users_of(3, 4)
    assert stops.stopped_item("item-3") == "stock is 0" and stops.stopped_item("item-4") == "withdrawn"
    behind = database.read_only("SELECT DISTINCT item_id FROM kairos.push_plan_item_live")[1]
    assert {item for (item,) in behind} == {f"item-{n}" for n in (0, 1, 2, 5, 6)}
    stops.mirror_items(CATALOGUE.assign(available=True, stock=1.0))
    assert live_users(database) == EVERYBODY


def told(*rows: tuple[str, str]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows), columns=["user_id", "cause"])
    return frame.assign(since=pd.Timestamp("2017-12-04T12:00Z"))


def test_a_withdrawal_after_planning_is_honoured_at_once(stops, database):
    assert stops.mirror_withdrawals(told(("user-1", "opt_out"), ("user-2", "users"))) == 2
    assert live_users(database) == EVERYBODY - {"user-1", "user-2"}
    assert stops.mirror_withdrawals(told(("user-1", "opt_out"), ("user-2", "users"))) == 0
    stops.mirror_withdrawals(told())  # the users table says yes again; an opt-out has no such word
    assert live_users(database) == EVERYBODY - {"user-1"}
    assert [held.cause for held in stops.withdrawals("user-1")] == ["opt_out"]
    with pytest.raises(RefusedError, match=r"the data says so \(opt_out\)"):
        stops.restore("user-1", "ann", "please")


def test_consent_withdrawn_by_hand_is_given_back_by_hand_alone(stops, database):
    assert stops.withdraw("user-3", "ann", "asked by phone")
    assert not stops.withdraw("user-3", "ann", "asked by phone")
    stops.mirror_withdrawals(told())
    assert live_users(database) == EVERYBODY - {"user-3"} and stops.withdrawn_by_hand() == ("user-3",)
    stops.restore("user-3", "bob", "asked again")
    assert live_users(database) == EVERYBODY and stops.withdrawn_by_hand() == ()
    with pytest.raises(RefusedError, match="nobody withdrew it by hand"):
        stops.restore("user-3", "bob", "once more")


def test_what_was_stopped_since_still_counts_for_caps(stops, database):
    stops.stop("all", "", "ann", "incident")
    assert len(PlanStore(database).planned_pushes(datetime(2017, 12, 1, tzinfo=UTC))) == 20


@pytest.mark.parametrize("words", ["", "everything", "all:x", "category", "item: "])
def test_a_scope_is_named_whole(words):
    with pytest.raises(UsageError, match="write all, channel:NAME"):
        parse_scope(words)


def test_a_reason_is_owed(stops):
    with pytest.raises(UsageError, match="--why is empty"):
        stops.stop("all", "", "ann", "  ")


def test_sizes_count_earlier_dates_alone_and_approvals_are_kept(database):
    sizes, store = PlanSizes(database), PlanStore(database)
    store.publish(small_plan(), **PUBLICATION)
    assert sizes.earlier(PLAN_DATE) == () and sizes.earlier(date(2017, 12, 5)) == (20,)
    assert sizes.approved(PLAN_DATE) == 0
    sizes.approve(SizeApproval(PLAN_DATE, 500, "ann", "Black Friday"))
    sizes.approve(SizeApproval(PLAN_DATE, 300, "bob", "a smaller one"))
    assert sizes.approved(PLAN_DATE) == 500
    with pytest.raises(UsageError, match="give --pushes and --why"):
        sizes.approve(SizeApproval(PLAN_DATE, 0, "bob", "nothing"))


def test_a_plan_published_under_0001_lives_on_under_the_newest_schema(postgres_url):
    from alembic import command
    from alembic.config import Config

    url = make_url(postgres_url)
    with closing(psycopg.connect(url.set(drivername="postgresql").render_as_string(False))) as admin:
        admin.autocommit = True
        admin.execute("CREATE DATABASE from_0001")
    database = connect(url.set(database="from_0001").render_as_string(hide_password=False))
    try:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS_DIR))
        with database.transaction() as connection:
            for schema in ("kairos", "kairos_batches"):
                connection.exec_driver_sql(f"CREATE SCHEMA {schema}")
            config.attributes["connection"] = connection
            command.upgrade(config, "0001")
        batch = PlanStore(database).publish(small_plan(), **PUBLICATION)
        before = database.read_only("SELECT * FROM kairos.push_plan_live ORDER BY push_id")
        database.migrate()
        assert database.read_only("SELECT * FROM kairos.push_plan_live ORDER BY push_id") == before
        assert len(before[1]) == batch.rows == 20
        PushStops(database).stop("all", "", "ann", "incident")
        assert live_users(database) == set()
    finally:
        database.close()
