"""What experiments say to the gate: losses, missing readouts, and versions that were stopped for harm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from flows.experiment_health import experiment_health
from infra.experiment_readouts import ExperimentReadouts
from infra.experiment_store import ExperimentStore, Proposal, ProposedArm
from models.experiments.split import Arm, Split
from monitoring.experiments.as_json import design_as_json
from monitoring.experiments.design import Design
from monitoring.experiments.metrics import Metric

START = datetime(2026, 3, 2, tzinfo=UTC)
SPLIT = Split("spring", "push", 0.0, 0.2, (Arm("control", 0.5), Arm("new", 0.5, model_version="m1")))
DESIGN = design_as_json(Design(SPLIT, "h", "o", Metric("buyers", "orders"), START, (7, 14), 20_000, 0.05))
ARMS = (ProposedArm("control", 0.5, {}), ProposedArm("new", 0.5, {"model_version": "m1"}))


@pytest.fixture
def stores(database) -> tuple[ExperimentStore, ExperimentReadouts]:
    """One running experiment: m0 beside m1."""
    store = ExperimentStore(database)
    store.propose(Proposal("spring", "h", "o", DESIGN, START, START, ARMS, ""), "ann", lambda others: "")
    store.approve("spring", "bob", "fits", lambda others: "")
    store.begin("spring", {"control": "m0", "new": "m1"}, "planner", "due", DESIGN, START, START)
    return store, ExperimentReadouts(database)


def asked(stores, version: str = "m9", days: float = 3.0) -> list[tuple[str | None, str, float | None]]:
    found = experiment_health(*stores, version, START + timedelta(days=days))
    return [(one.verdict, one.words, one.age_hours) for one in found]


def test_a_running_experiment_must_be_read_out_and_must_not_lose_its_users(stores) -> None:
    assert asked(stores, days=-1) == []
    assert asked(stores, days=1) == [("pass", "it has just begun", None)]
    assert asked(stores, days=3) == [(None, "", None)]
    for day, decision in ((1, "continue"), (2, "blocked")):
        told = {"reasons": [f"{decision} on day {day}"]}
        stores[1].replace("spring", START + timedelta(days=day), decision, None, told, [])
    assert asked(stores, days=1.5) == [("pass", "continue on day 1", 12.0)]
    assert asked(stores, days=3) == [("fail", "blocked on day 2", 24.0)]


@pytest.mark.parametrize(
    ("decision", "verdict"), [("stop for harm", "fail"), ("broken", "warn"), ("keep", "warn"), ("ship", None)]
)
def test_what_was_stopped_speaks_against_the_version_it_tried_only(stores, decision, verdict) -> None:
    stores[0].stop("spring", decision, None, START + timedelta(days=2), "readout", "complaints")
    told = [] if verdict is None else [verdict]
    assert [one[0] for one in asked(stores, "m1")] == told
    assert asked(stores, "m0") == [] and asked(stores, "m9") == []
