"""A challenger's stages on a small market: shadow, a canary that plans for its users, and back for harm."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pandas as pd
import pytest
from small_market import AS_OF, market_settings, write_small_market

MOMENT = datetime.combine(AS_OF, time(), UTC)
SHARE = 0.4


@pytest.fixture
def trial(first_cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The stores of a home of its own: champion m1 and m2, which is m1 again, both fit to plan."""
    from flows.wiring import open_stores
    from infra.embedded_postgres import release_embedded

    made = open_stores()
    source, lineage = tmp_path / "market", made.registry.read(first_cycle.challenger).lineage
    folder = made.registry.version_dir(first_cycle.challenger)
    write_small_market(source)
    for name, value in market_settings(tmp_path / "home", source).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("KAIROS_PROMOTION_STAGES", f"shadow=1d,canary=3d@{SHARE}")
    stores = open_stores()
    for version in ("m1", "m2"):
        shutil.copytree(folder, stores.registry.version_dir(version))
        stores.registry.register(version, {}, lineage)
    stores.registry.move_alias("champion", "m1", "gate", "first")
    yield stores
    release_embedded(tmp_path / "home")


def add_events(source: str, rows: pd.DataFrame) -> None:
    from flows.ingest import ingest

    folder = Path(source.removeprefix("parquet:")) / "events"
    rows.to_parquet(folder / "part-1.parquet", index=False)
    ingest()


def answers(pushes: pd.DataFrame, upset: pd.Series) -> pd.DataFrame:
    """A push_sent event a push, and an opt_out an hour after it of those that `upset` says."""
    sent = pd.DataFrame({"user_id": pushes["user_id"], "push_id": pushes["push_id"]})
    sent = sent.assign(event_type="push_sent", event_ts=pushes["send_at"].dt.as_unit("us"))
    left = sent[upset.to_numpy()].assign(event_type="opt_out", push_id=None)
    left["event_ts"] += pd.Timedelta(hours=1)
    rows = pd.concat([sent, left], ignore_index=True)
    return rows.assign(event_id=[f"push-{number}" for number in range(len(rows))])


def test_a_challenger_goes_through_shadow_and_canary_and_is_taken_back_for_harm(trial) -> None:
    from features.user_parts import UserPart
    from flows.ingest import ingest
    from flows.monitor import monitor
    from flows.rollout import review_rollout, start_rollout
    from flows.score import score
    from infra.left_behind import left_behind

    ingest()
    assert start_rollout(trial, "m2", "m1", MOMENT, "better") is not None
    assert start_rollout(trial, "m2", "m1", MOMENT, "again") is None
    batch = score(as_of=MOMENT)
    shadow = trial.reports.latest_drift(subject="m2", kind="shadow")
    told = {row["measure"]: row["value"] for row in shadow}
    assert {row["verdict"] for row in shadow} == {"ok"}
    assert told["top_overlap"] == told["plan_users"] == told["plan_size"] == told["chance_ratio"] == 1.0
    assert set(trial.plans.read_published(AS_OF)["model_version"]) == {"m1"}
    assert not score(as_of=MOMENT).changed and batch.rows > 0

    day = AS_OF + timedelta(days=1)
    score(as_of=MOMENT + timedelta(days=1))
    assert trial.rollouts.current().stage == "canary"
    planned = trial.plans.read_published(day)
    canary = UserPart("m2", 0.0, SHARE).holds(planned["user_id"])
    assert 0 < canary.sum() < len(planned)
    assert planned["model_version"].tolist() == ["m2" if ours else "m1" for ours in canary]

    add_events(trial.settings.source, answers(planned, planned["model_version"].eq("m2")))
    late = MOMENT + timedelta(days=2) - timedelta(hours=1)
    review_rollout(late)  # and there the run is killed, before it has planned anew
    assert [(one.plan_date, one.version) for one in left_behind(trial.database, day)] == [(day, "m2")]
    monitor(as_of=late)
    assert left_behind(trial.database, day) == ()
    assert trial.rollouts.current() is None and trial.registry.champion() == "m1"
    back = trial.registry.promotions()[0]
    assert (back.alias, back.from_version, back.to_version, back.who) == ("canary", "m2", "m1", "guardrails")
    assert back.why.startswith(f"opt_out {canary.sum()} of {canary.sum()} users of the canary, 0 of")
    assert [one.row["kind"] for one in trial.alerts.read()].count("rollout_returned") == 1
    assert set(trial.plans.read_live(day)["model_version"]) <= {"m1"}
