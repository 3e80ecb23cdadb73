"""The plan behind a model version: what settings ask for, and the name that follows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows.training_plan import TrainingPlan, training_plan, version_of
from infra.settings import load_settings
from models.relevance import RelevanceParams

AS_OF = datetime(2024, 3, 25, tzinfo=UTC)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory without `kairos.toml`."""
    monkeypatch.chdir(tmp_path)


def plan_with(**settings: object) -> TrainingPlan:
    return training_plan(load_settings(**settings))


def test_settings_reach_the_plan() -> None:
    plan = plan_with(
        relevance="purchase=5, add_to_cart=2, view=0",
        search_minutes=1.5,
        dask_address="tcp://d:8786",
        threads=3,
    )
    assert plan.relevance == RelevanceParams(view=0.0, add_to_cart=2.0, purchase=5.0)
    assert (plan.search.minutes, plan.cluster, plan.ranker.threads) == (1.5, "tcp://d:8786", 3)


def test_nothing_is_searched_or_sent_away_unless_asked() -> None:
    plan = plan_with()
    assert (plan.search.minutes, plan.cluster) == (0.0, None)
    assert plan.relevance == RelevanceParams()


def test_every_choice_names_another_version() -> None:
    names = {
        version_of(plan, AS_OF, "features")
        for plan in (
            plan_with(),
            plan_with(relevance="view=0,add_to_cart=0.5,purchase=1"),
            plan_with(search_minutes=1.0),
            plan_with(dask_address="tcp://one:8786"),
        )
    }
    assert len(names) == 4
    assert version_of(plan_with(), AS_OF, "other features") not in names


def test_where_a_cluster_is_names_no_other_version() -> None:
    here, there = (plan_with(dask_address=f"tcp://{host}:8786") for host in ("one", "two"))
    assert version_of(here, AS_OF, "f") == version_of(there, AS_OF, "f")
    assert version_of(here, AS_OF, "f") != version_of(replace(here, cluster=None), AS_OF, "f")
