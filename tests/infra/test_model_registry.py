"""Versions and aliases; a move and its record are one."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from features.errors import KairosError, UsageError
from infra.model_registry import ModelRegistry


@pytest.fixture
def registry(database, tmp_path: Path) -> ModelRegistry:
    return ModelRegistry(database, tmp_path / "models")


def test_registering_again_is_the_same_version(registry: ModelRegistry):
    first = registry.register("v1", {"ndcg@10": 0.27}, {"as_of": "2017-12-04"}, "trained")
    assert registry.register("v1", {"ndcg@10": 0.27}, {"as_of": "2017-12-04"}, "trained") == first
    assert registry.register("v1", {"ndcg@10": 0.27}, {}, "refused").created_at == first.created_at
    assert [version.version for version in registry.list_versions()] == ["v1"]
    assert registry.version_dir("v1").name == "v1"


def test_aliases_move_and_every_move_is_recorded(registry: ModelRegistry):
    assert registry.champion() is None
    for version in ("v1", "v2"):
        registry.register(version, {}, {})
    registry.move_alias("challenger", "v1", "gate", "new")
    registry.move_alias("champion", "v1", "gate", "first")
    registry.move_alias("champion", "v2", "kim", "ndcg 0.30 > 0.27")
    again = registry.move_alias("champion", "v2", "kim", "twice")
    assert (registry.champion(), registry.challenger()) == ("v2", "v1")
    moves = registry.promotions("champion")
    assert [(m.from_version, m.to_version, m.who) for m in moves] == [
        ("v1", "v2", "kim"),
        (None, "v1", "gate"),
    ]
    assert again == moves[0]
    assert registry.previous_champion() == "v1"
    assert registry.read("v1").aliases == ("challenger",)


def test_a_move_without_its_record_does_not_happen(registry: ModelRegistry, database):
    registry.register("v1", {}, {})
    with database.transaction() as connection:
        connection.execute(text("ALTER TABLE kairos.promotion_event ADD CONSTRAINT no CHECK (false)"))
    try:
        with pytest.raises(Exception, match="violates check constraint"):
            registry.move_alias("champion", "v1", "kim", "why not")
    finally:
        with database.transaction() as connection:
            connection.execute(text("ALTER TABLE kairos.promotion_event DROP CONSTRAINT no"))
    assert registry.champion() is None
    assert registry.promotions() == []


def test_unknown_versions_are_refused(registry: ModelRegistry):
    with pytest.raises(UsageError, match="no model version 'v9'; kairos model list shows them"):
        registry.move_alias("champion", "v9", "kim", "typo")
    with pytest.raises(UsageError, match="no model version 'v9'"):
        registry.read("v9")
    with pytest.raises(UsageError, match=r"model version '\.\./x': use letters"):
        registry.version_dir("../x")
    with pytest.raises(KairosError, match="no earlier champion"):
        registry.previous_champion()


def test_gate_decisions_are_kept(registry: ModelRegistry):
    assert registry.latest_gate() is None
    registry.record_gate("v1", False, ("ndcg@10 0.310 < 0.330",), {"ndcg@10": 0.31})
    registry.record_gate("v2", True, (), {})
    found = registry.latest_gate("v1")
    assert found is not None
    assert (found["promote"], found["reasons"]) == (False, ["ndcg@10 0.310 < 0.330"])
    latest = registry.latest_gate()
    assert latest is not None
    assert latest["subject"] == "v2"
