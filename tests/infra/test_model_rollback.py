"""A rolled back champion takes its plans with it, all in one transaction."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan

from features.errors import KairosError, RefusedError
from infra.left_behind import LeftBehind, left_behind
from infra.model_registry import ModelRegistry
from infra.model_rollback import roll_back_model
from infra.plan_store import PLANNER_LOCK, PlanStore
from infra.rollout_store import RolloutStore

TOMORROW = PLAN_DATE + timedelta(days=1)


@pytest.fixture
def registry(database, tmp_path: Path) -> ModelRegistry:
    found = ModelRegistry(database, tmp_path / "models")
    for version in ("m1", "m2"):
        found.register(version, {}, {})
        found.move_alias("champion", version, "gate", "better")
    return found


def published(store: PlanStore, version: str, score: float, day=PLAN_DATE, canary: str = "") -> str:
    """The batch of a version, whose first push is of another in canary."""
    plan = small_plan(score=score)
    plan.pushes["plan_date"], plan.pushes["model_version"] = day, version
    if canary:
        plan.pushes.loc[plan.pushes.index[0], "model_version"] = canary
    return store.publish(plan, **PUBLICATION | {"plan_date": day, "model_version": version}).batch_id


def live(store: PlanStore, day=PLAN_DATE) -> str:
    batch = store.live_batch(day)
    assert batch is not None
    return batch.batch_id


def test_the_earlier_champion_and_its_plan_are_back_together(registry, database) -> None:
    store = PlanStore(database)
    first, _ = published(store, "m1", 0.5), published(store, "m2", 0.7)
    only = published(store, "m2", 0.7, TOMORROW)
    done = roll_back_model(database, PLAN_DATE, "ada", "prices were wrong")
    assert (done.event.from_version, done.event.to_version, done.event.who) == ("m2", "m1", "ada")
    assert done.plans == ((PLAN_DATE, first), (TOMORROW, None))
    assert registry.champion() == "m1" and live(store) == first and live(store, TOMORROW) == only
    assert set(store.read_live(PLAN_DATE)["model_version"]) == {"m1"}


def test_a_plan_with_pushes_of_the_version_that_is_taken_back_stays_away(registry, database) -> None:
    store = PlanStore(database)
    before = published(store, "m1", 0.5)
    published(store, "m1", 0.6, canary="m2")
    published(store, "m2", 0.7)
    published(store, "m1", 0.6, TOMORROW, canary="m2")
    only = published(store, "m2", 0.7, TOMORROW)
    done = roll_back_model(database, PLAN_DATE, "ada", "opt-outs")
    assert done.plans == ((PLAN_DATE, before), (TOMORROW, None))
    assert live(store) == before and live(store, TOMORROW) == only
    assert set(store.read_live(PLAN_DATE)["model_version"]) == {"m1"}


def test_what_was_sent_stays_as_it_was(registry, database) -> None:
    store = PlanStore(database)
    published(store, "m1", 0.5)
    sent = published(store, "m2", 0.7)
    assert roll_back_model(database, TOMORROW, "ada", "prices").plans == ()
    assert live(store) == sent and registry.champion() == "m1"


def test_a_plan_that_is_being_published_stops_the_whole_rollback(registry, database) -> None:
    store = PlanStore(database)
    published(store, "m1", 0.5)
    now = published(store, "m2", 0.7)
    with database.session() as planner:
        planner.execute("SELECT pg_advisory_lock(%s::int, %s::int)", [PLANNER_LOCK, PLAN_DATE.toordinal()])
        with pytest.raises(
            KairosError, match="another run is publishing the plan for 2017-12-04, so nothing"
        ):
            roll_back_model(database, PLAN_DATE, "ada", "prices")
    assert registry.champion() == "m2" and live(store) == now


def test_without_an_earlier_champion_it_is_refused(database, tmp_path: Path) -> None:
    alone = ModelRegistry(database, tmp_path / "models")
    alone.register("m1", {}, {})
    alone.move_alias("champion", "m1", "gate", "first")
    with pytest.raises(RefusedError, match="no earlier champion"):
        roll_back_model(database, PLAN_DATE, "ada", "prices")


def test_a_plan_with_pushes_of_the_version_that_is_rolled_back_does_not_come_back(registry, database) -> None:
    store = PlanStore(database)
    alone = published(store, "m1", 0.4)
    published(store, "m1", 0.5, canary="m2")
    published(store, "m2", 0.7)
    assert roll_back_model(database, PLAN_DATE, "ada", "prices").plans == ((PLAN_DATE, alone),)
    assert left_behind(database, PLAN_DATE) == ()


def test_live_plans_of_what_was_taken_back_are_found_whoever_took_it_back(registry, database) -> None:
    store = PlanStore(database)
    published(store, "m1", 0.5, canary="m2")
    published(store, "m2", 0.7, TOMORROW)
    assert left_behind(database, PLAN_DATE) == (), "the gate replaced m1, which has done no harm"
    roll_back_model(database, PLAN_DATE, "ada", "prices were wrong")
    both = (LeftBehind(PLAN_DATE, "m2", 1), LeftBehind(TOMORROW, "m2", 20))
    assert left_behind(database, PLAN_DATE) == both
    assert left_behind(database, TOMORROW) == both[1:], "yesterday's were sent"
    registry.move_alias("champion", "m2", "ada", "they were right")
    assert [one.version for one in left_behind(database, PLAN_DATE)] == ["m1"]


def test_the_end_of_a_stage_hides_no_rollback_and_takes_its_own_version_back(registry, database) -> None:
    store, rollouts = PlanStore(database), RolloutStore(database)
    registry.register("m3", {}, {})
    canary = rollouts.begin("m3", "m2", "canary=3d@0.1", PUBLICATION["as_of"], "gate", "better")
    published(store, "m2", 0.7, canary="m3")
    assert left_behind(database, PLAN_DATE) == ()
    roll_back_model(database, PLAN_DATE, "ada", "prices were wrong")
    rollouts.end(canary, "superseded", PUBLICATION["as_of"], "gate", "the champion is another")
    found = {(one.version, one.pushes) for one in left_behind(database, PLAN_DATE)}
    assert found == {("m2", 19), ("m3", 1)}
