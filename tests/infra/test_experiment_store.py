"""Experiments step by step on a real Postgres: who said what, what is refused, how units are exposed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan

from features.errors import RefusedError, UsageError
from infra.experiment_readouts import ExperimentReadouts
from infra.experiment_store import ExperimentStore, Proposal, ProposedArm
from infra.experiment_units import ExperimentUnits
from infra.plan_store import PlanStore
from infra.running_experiments import experiments_using

START = datetime(2017, 12, 4, 5, tzinfo=UTC)
ARMS = (ProposedArm("control", 0.5, {}), ProposedArm("quiet", 0.5, {"is_sent": False}))
SPRING = Proposal("spring", "less is more", "crm", {"looks": [7]}, START, START, ARMS, "81% power")


def fine(others: object) -> str:
    return ""


@pytest.fixture
def store(database) -> ExperimentStore:
    return ExperimentStore(database)


def test_from_proposal_to_archive_with_every_step_on_record_once(store, database) -> None:
    for _ in range(2):  # each step taken again changes nothing
        proposed = store.propose(SPRING, "ann", fine)
    assert (proposed.status, proposed.words, list(proposed.arms)) == (
        "proposed",
        "81% power",
        ["control", "quiet"],
    )
    for _ in range(2):
        assert store.approve("spring", "bob", "fits the season", fine).status == "waiting"
    assert experiments_using(database, "m1") == ()
    for _ in range(2):
        running = store.begin("spring", {"control": "m1"}, "planner", "due", SPRING.design, START, START)
    assert running.status == "running" and experiments_using(database, "m1") == ("spring",)
    assert running.approved_by == "bob" and running.approved_at is not None
    later = START + timedelta(days=9)
    assert store.extend("spring", {"looks": [7, 9]}, later, "bob", "few units").ends_at == later
    for _ in range(2):
        stopped = store.stop("spring", "ship", "quiet", later, "bob", "it won")
    assert (stopped.status, stopped.decision, stopped.winner) == ("stopped", "ship", "quiet")
    assert stopped.waits_for_shipping
    dropped = store.stop("spring", "keep", None, later + timedelta(days=1), "eve", "not worth it")
    assert (dropped.decision, dropped.winner, dropped.stopped_at) == ("keep", None, later)
    assert store.stop("spring", "ship", "quiet", later, "bob", "again") == dropped, "nobody takes that back"
    for _ in range(2):
        assert store.archive("spring", "spring.html", "bob").report == "spring.html"
    told = [(one["what"], one["who"]) for one in store.events("spring")]
    assert told == [
        *(("proposed", "ann"), ("waiting", "bob"), ("running", "planner"), ("extended", "bob")),
        *(("stopped", "bob"), ("stopped", "eve"), ("archived", "bob")),
    ]
    with pytest.raises(RefusedError, match="'spring' is archived already, must be new"):
        store.propose(SPRING, "ann", fine)


def test_what_is_in_the_way_refuses_and_a_refused_name_may_be_proposed_better(store) -> None:
    refused = store.propose(SPRING, "ann", lambda others: "12% power, must be >= 80%")
    assert (refused.status, refused.words) == ("refused", "12% power, must be >= 80%")
    with pytest.raises(RefusedError, match="is refused, must be proposed"):
        store.approve("spring", "bob", "", fine)
    store.propose(SPRING, "ann", fine)
    with pytest.raises(RefusedError, match="must be new"):
        store.propose(replace(SPRING, design={"looks": [3]}), "ann", fine)
    other = replace(SPRING, name="summer")
    store.propose(other, "ann", lambda others: "" if [one.name for one in others] == ["spring"] else "wrong")
    with pytest.raises(RefusedError, match="'summer': no room"):
        store.approve("summer", "bob", "", lambda others: "no room" if others else "")
    assert store.stop("spring", "withdrawn", None, START, "ann", "later").status == "refused"
    assert store.approve("summer", "bob", "", lambda others: "no room" if others else "").status == "waiting"
    with pytest.raises(UsageError, match=r"'autumn' is unknown, must be one of: spring, summer"):
        store.read("autumn")


def test_only_one_of_two_rivals_gets_in(store) -> None:
    def alone(others) -> str:
        return f"{others[0].name} is there" if others else ""

    rivals = [replace(SPRING, name=f"e{number}") for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: store.propose(one, "ann", alone).status, rivals))
    assert sorted(found) == ["proposed", "refused", "refused", "refused"]


def test_units_keep_their_arm_and_are_exposed_by_their_first_plan(store, database) -> None:
    store.propose(SPRING, "ann", fine)
    units = ExperimentUnits(database)
    users = [f"user-{number}" for number in range(5)]
    told = pd.DataFrame({"unit_id": users, "arm": ["control", "quiet"] * 2 + ["quiet"], "propensity": 0.5})
    assert units.add("spring", told, PLAN_DATE, START) == 5
    later = (PLAN_DATE + timedelta(days=1), START + timedelta(days=1))
    assert units.add("spring", told.assign(arm="control"), *later) == 0
    late = told.assign(unit_id=[f"late-{number}" for number in range(5)])
    assert units.add("spring", late, *later) == 5
    assert units.add("spring", late.assign(arm="quiet"), PLAN_DATE, START) == 0, "planned ahead, then before"
    first = units.exposures("spring", START + timedelta(hours=1)).set_index("unit_id")
    assert first.loc["late-0", "arm"] == "control" and first.loc["late-0", "assigned_at"] == START
    plan = small_plan(users=3, suppressions=0)
    held = plan.pushes.assign(holdout=[False, True, False], experiment="spring", arm="quiet")
    silence = pd.DataFrame(
        [("user-3", None, None, "below_value", ""), ("user-4", None, None, "no_consent", "")]
    )
    silence.columns = ["user_id", "slot", "item_id", "rule", "detail"]
    PlanStore(database).publish(replace(plan, pushes=held, suppressions=silence), **PUBLICATION)
    live = PlanStore(database).read_live(PLAN_DATE)
    assert set(live["user_id"]) == {"user-0", "user-2"}, "what stays unsent is not for any gateway to see"
    with database.session() as session:
        session.execute(
            "INSERT INTO kairos.push_dispatch (push_id, batch_id, plan_date, user_id, channel, item_id, "
            "send_at, expires_at, state, ready_at, finished_at) SELECT push_id, batch_id, plan_date, "
            "user_id, channel, item_id, send_at, expires_at, 'sent', send_at, send_at + interval '1 minute' "
            "FROM kairos.push_plan_live WHERE user_id = 'user-0'"
        )
    found = units.exposures("spring", START + timedelta(days=3)).set_index("unit_id")
    send_at = plan.pushes["send_at"].iloc[0]
    found = found.loc[users]
    assert found["arm"].tolist() == told["arm"].tolist()
    assert found.loc["user-0", "dispatched_at"] == send_at + pd.Timedelta(minutes=1)
    assert found.loc["user-1", "holdout"] and found.loc["user-1", "send_at"] == send_at
    assert pd.isna(found.loc["user-2", "dispatched_at"]) and found.loc["user-2", "send_at"] == send_at
    assert found["is_silent"].tolist() == [False, False, False, True, False]
    assert units.exposures("spring", START).empty


def test_a_readout_made_again_replaces_itself(store, database) -> None:
    store.propose(SPRING, "ann", fine)
    readouts = ExperimentReadouts(database)
    row = {"metric": "spend", "arm": "quiet", "users": 10, "mean": 1.0, "evidence": {}}
    for decision in ("continue", "keep"):
        readouts.replace("spring", START, decision, None, {"look": None}, [row])
    readouts.replace("spring", START - timedelta(days=1), "continue", None, {"look": {"number": 1}}, [])
    found = readouts.read("spring")
    assert [one["decision"] for one in found] == ["continue", "keep"]
    assert found[0]["readout"] == {"look": {"number": 1}}
    assert database.read_only("SELECT count(*) FROM kairos.experiment_readout")[1] == [(1,)]
