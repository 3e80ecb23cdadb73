"""A challenger's stages: one at a time, each step with its record, the champion's place last."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from features.errors import KairosError, RefusedError
from infra.model_registry import ModelRegistry
from infra.rollout_store import RolloutStore

MONDAY = datetime(2024, 3, 25, tzinfo=UTC)
STAGES = "shadow=1d,canary=3d@0.1"


@pytest.fixture
def registry(database, tmp_path: Path) -> ModelRegistry:
    found = ModelRegistry(database, tmp_path / "models")
    for version in ("m1", "m2", "m3"):
        found.register(version, {}, {})
    found.move_alias("champion", "m1", "gate", "first")
    return found


@pytest.fixture
def rollouts(database) -> RolloutStore:
    return RolloutStore(database)


def moves(registry: ModelRegistry) -> list[tuple[str, str | None, str, str]]:
    return [(one.alias, one.from_version, one.to_version, one.who) for one in registry.promotions()]


def test_the_way_to_the_champions_place_is_recorded_step_by_step(registry, rollouts) -> None:
    first = rollouts.begin("m2", "m1", STAGES, MONDAY, "gate", "better")
    assert (first.stage, first.next.name, first.time_in(MONDAY + timedelta(hours=5))) == (
        "shadow",
        "canary",
        timedelta(hours=5),
    )
    second = rollouts.enter(first, "canary", MONDAY + timedelta(days=1), "gate", "alike")
    assert second == rollouts.current() and second.next is None and second.now.share == 0.1
    assert registry.champion() == "m1"
    rollouts.promote(second, MONDAY + timedelta(days=4), "gate", "no harm")
    assert registry.champion() == "m2" and rollouts.current() is None
    assert moves(registry) == [
        ("champion", "m1", "m2", "gate"),
        ("canary", "m1", "m2", "gate"),
        ("shadow", "m1", "m2", "gate"),
        ("champion", None, "m1", "gate"),
    ]
    newest = rollouts.newest("m2")
    assert newest is not None and (newest.outcome, newest.why) == ("promoted", "no harm")


def test_a_return_leaves_the_champion_and_makes_room(registry, rollouts) -> None:
    first = rollouts.begin("m2", "m1", STAGES, MONDAY, "gate", "better")
    with pytest.raises(RefusedError, match="m2 is in shadow since 2024-03-25 00:00 UTC; wait, or end"):
        rollouts.begin("m3", "m1", STAGES, MONDAY, "gate", "better still")
    rollouts.end(first, "returned", MONDAY + timedelta(hours=6), "guardrails", "opt-outs 4 times")
    assert registry.champion() == "m1" and rollouts.current() is None
    assert moves(registry)[0] == ("shadow", "m2", "m1", "guardrails")
    assert rollouts.begin("m3", "m1", STAGES, MONDAY, "gate", "better still").version == "m3"


def test_who_read_it_before_somebody_moved_it_changes_nothing(registry, rollouts) -> None:
    first = rollouts.begin("m2", "m1", STAGES, MONDAY, "gate", "better")
    rollouts.end(first, "withdrawn", MONDAY, "ada", "not today")
    for late in (
        lambda: rollouts.promote(first, MONDAY, "gate", "no harm"),
        lambda: rollouts.enter(first, "canary", MONDAY, "gate", "alike"),
    ):
        with pytest.raises(KairosError, match="m2 was moved from shadow by somebody else"):
            late()
    assert registry.champion() == "m1" and len(moves(registry)) == 3
