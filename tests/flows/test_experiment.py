"""One experiment on a small market, from its file to its archive: approved, planned, judged, stopped."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pandas as pd
import pytest
from small_market import AS_OF, market_settings, write_small_market

from features.errors import RefusedError
from flows import cli
from monitoring.experiments.form import read_form

MOMENT = datetime.combine(AS_OF, time(), UTC)
FILE = f"""
name = "lean"
hypothesis = "One item a push, and that unsent, sells more."
owner = "crm"
start = {AS_OF}
share = 1.0
primary = "spend"
secondaries = ["conversion"]
mde = 1.0
looks = [6]
window_days = 2
settling_days = 1
[[arm]]
name = "control"
share = 0.5
[[arm]]
name = "lean"
share = 0.5
policy = {{ max_items = 1 }}
holdout = true
"""


@pytest.fixture
def shop(first_cycle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The stores of a home of its own whose champion is fit to plan, before its first plan."""
    from flows.ingest import ingest
    from flows.wiring import open_stores
    from infra.embedded_postgres import release_embedded

    made = open_stores()
    version = first_cycle.challenger
    folder, lineage = made.registry.version_dir(version), made.registry.read(version).lineage
    write_small_market(tmp_path / "market")
    for name, value in market_settings(tmp_path / "home", tmp_path / "market").items():
        monkeypatch.setenv(name, value)
    stores = open_stores()
    shutil.copytree(folder, stores.registry.version_dir(version))
    stores.registry.register(version, {}, lineage)
    stores.registry.move_alias("champion", version, "gate", "first")
    ingest()
    yield stores
    release_embedded(tmp_path / "home")


def typed(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    """What a command said, which ended with this code."""
    found = cli.run(["experiment", *words])
    told = capsys.readouterr()
    assert found == code, told
    return told.out + told.err


def events_of(pushes: pd.DataFrame, arms: pd.Series) -> pd.DataFrame:
    """A push_sent event a push, and each user's purchase on the next day, larger in the lean arm."""
    sent = pd.DataFrame({"user_id": pushes["user_id"], "push_id": pushes["push_id"]})
    sent = sent.assign(event_type="push_sent", event_ts=pushes["send_at"].dt.as_unit("us"), amount=None)
    later = pd.Timestamp(MOMENT + timedelta(hours=30))
    bought = pd.DataFrame(
        {"user_id": arms.index, "push_id": None, "event_type": "purchase", "event_ts": later}
    )
    base = arms.map({"control": 4.0, "lean": 20.0}).to_numpy()
    bought = bought.assign(item_id="i01", amount=base + [number % 7 for number in range(len(arms))])
    rows = pd.concat([sent, bought], ignore_index=True)
    return rows.assign(event_id=[f"late-{number}" for number in range(len(rows))])


def test_an_experiment_from_file_to_archive(
    shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.experiment_estimate import estimate_experiment
    from flows.experiment_readout import readout
    from flows.ingest import ingest
    from flows.score import score

    file = tmp_path / "lean.toml"
    file.write_text(FILE.replace("mde = 1.0", "mde = 0.01"), encoding="utf-8")
    at = ("--as-of", MOMENT.isoformat())
    assert "must be >= 80%; what works: a smallest effect of" in typed(
        capsys, "launch", str(file), *at, code=3
    )
    file.write_text(FILE, encoding="utf-8")
    assert "proposed: lean, 100.0% of the users" in typed(capsys, "launch", str(file), *at)
    file.write_text(FILE.replace('"lean"', '"rival"', 1), encoding="utf-8")
    refused = typed(capsys, "launch", str(file), *at, code=3)
    assert "of layer 'push' belongs to 'lean' until" in refused and "what works: " in refused

    before = score(as_of=MOMENT)
    plain = shop.plans.read_published(AS_OF).set_index("push_id")
    assert plain["experiment"].isna().all() and not plain["holdout"].any()
    assert "waiting: lean" in typed(capsys, "approve", "lean", "--by", "bob")
    assert typed(capsys, "approve", "lean", "--by", "", code=2)
    batch = score(as_of=MOMENT)
    assert batch.changed and batch.checksum != before.checksum
    again = score(as_of=MOMENT)
    assert not again.changed and again.checksum == batch.checksum
    planned = shop.plans.read_published(AS_OF).set_index("push_id")
    units = shop.units.exposures("lean", MOMENT + timedelta(days=1)).set_index("unit_id")
    told = units["arm"].reindex(planned["user_id"]).to_numpy()
    assert planned["arm"].tolist() == told.tolist() and set(told) == {"control", "lean"}
    assert planned["holdout"].eq(planned["arm"] == "lean").all()
    assert planned["propensity"].eq(0.5).all()
    items = shop.plans.read_items(AS_OF).groupby("push_id").size()
    assert set(items[planned.index[planned["arm"] == "lean"]]) == {1}
    live = shop.plans.read_live(AS_OF)
    assert set(live["arm"].dropna()) == {"control"}
    ours = planned.index[planned["arm"] == "control"]
    written = ("batch_id", "experiment", "arm", "propensity")
    same = [name for name in planned if name not in written]
    pd.testing.assert_frame_equal(planned.loc[ours, same], plain.loc[ours, same])
    assert shop.experiments.read("lean").arms["control"]["model_version"] == shop.registry.champion()

    assert readout(as_of=MOMENT + timedelta(days=2, hours=1)) == {"lean": "blocked"}
    assert "experiment_mismatch" in {one.row["kind"] for one in shop.alerts.read()}
    assert typed(capsys, "stop", "lean", "--why", "impatient", code=3)
    answers = events_of(live, units["arm"])
    answers.to_parquet(tmp_path / "market" / "events" / "part-1.parquet", index=False)
    ingest()
    for told in ({"lean": "ship"}, {}):  # it is over with that
        assert readout(as_of=MOMENT + timedelta(days=6)) == told
    assert shop.experiments.read("lean").status == "stopped"
    assert score(as_of=MOMENT).checksum == before.checksum
    assert "experiment_decided" in {one.row["kind"] for one in shop.alerts.read()}
    assert "experiment_mismatch" not in {one.row["kind"] for one in shop.alerts.read()}
    _, rows = shop.database.read_only(
        "SELECT arm, lift_low > 1, verdict FROM kairos.experiment_readout WHERE metric = 'spend' "
        "AND arm = 'lean' ORDER BY as_of DESC LIMIT 1"
    )
    assert rows == [("lean", True, "better")]
    told = typed(capsys, "status", "lean")
    assert "ship lean" in told and "waiting" in told and "bob" in told

    assert "has decided: ship" in typed(capsys, "stop", "lean", "--extend", "7", "--why", "more", code=3)
    assert "archived: lean, ship lean; set the policy" in typed(
        capsys, "stop", "lean", "--why", "as planned", "--by", "ann"
    )
    assert "experiment_decided" not in {one.row["kind"] for one in shop.alerts.read()}
    page = Path(shop.experiments.read("lean").report).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "http" not in page.replace("http://www.w3.org", "")
    for words in ("ship: lean", "Planned looks", "as planned", "planned, never sent", "boundary", "bob"):
        assert words in page, words
    assert typed(capsys, "list").split("\n")[1].startswith("lean")

    # What chance chose tells what another arm is worth, before anybody is in it.
    form = read_form(FILE.replace('"lean"', '"short"').replace("holdout = true", ""), "short.toml")
    with pytest.raises(RefusedError, match="nothing in those plans was left to chance"):
        estimate_experiment(form, days=4, as_of=MOMENT + timedelta(days=6))
    monkeypatch.setenv("KAIROS_EXPLORATION_SHARE", "0.5")
    score(as_of=MOMENT)
    explored = shop.plans.read_live(AS_OF)
    sent = explored[["user_id", "push_id", "item_id", "send_at"]].rename(columns={"send_at": "event_ts"})
    sold = sent[::3].assign(event_type="purchase", amount=2.0)
    rows = pd.concat([sent.assign(event_type="push_sent", item_id=None), sold], ignore_index=True)
    rows["event_ts"] = rows["event_ts"].dt.as_unit("us")
    rows["event_id"] = [f"tried-{number}" for number in range(len(rows))]
    rows.to_parquet(tmp_path / "market" / "events" / "part-2.parquet", index=False)
    ingest()
    (told,) = estimate_experiment(form, days=4, as_of=MOMENT + timedelta(days=6))
    assert (told["arm"], told["metric"]) == ("short", "push_conversion")
    assert told["rows"] + told["replay"]["only_logged"] == len(explored)
    assert [one["method"] for one in told["estimates"]] == ["IPS", "SNIPS", "DR"]
    assert told["logged"] == pytest.approx(len(sold) / len(explored), abs=0.1)
    assert 0 < told["replay"]["same"] < told["rows"] and told["effective_rows"] > 20


ARMS = f"""
name = "arms"
hypothesis = "Other times and another model sell more."
owner = "crm"
start = {AS_OF + timedelta(days=1)}
share = 1.0
primary = "spend"
mde = 5.0
looks = [9]
window_days = 2
settling_days = 1
[[arm]]
name = "control"
share = 0.25
[[arm]]
name = "noon"
share = 0.25
timing = ["midday"]
[[arm]]
name = "usual"
share = 0.25
timing = ["usual"]
[[arm]]
name = "other"
share = 0.25
model = "m2"
"""
BANDIT = ARMS.replace('name = "arms"', 'name = "bandit"').replace('"spend"', '"conversion"')
BANDIT = BANDIT.replace("looks = [9]", 'looks = [9]\nallocation = "thompson"')


def test_arms_of_time_and_model_rest_break_and_are_stopped(
    shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arms plan as declared; a machine's fault is a night's rest, a version's the end; harm stops at once."""
    from flows.experiment_planning import allocation_of
    from flows.experiment_readout import readout
    from flows.ingest import ingest
    from flows.score import score
    from flows.training_data import training_data
    from models.usual_slots import usual_slots

    champion, day, at = shop.registry.champion(), AS_OF + timedelta(days=1), ("--as-of", MOMENT.isoformat())
    shutil.copytree(shop.registry.version_dir(champion), shop.registry.version_dir("m2"))
    shop.registry.register("m2", {}, shop.registry.read(champion).lineage)
    for name, text in (("arms", ARMS), ("bandit", BANDIT)):
        (tmp_path / name).write_text(text, encoding="utf-8")
    typed(capsys, "launch", str(tmp_path / "arms"), *at)
    typed(capsys, "approve", "arms", "--by", "bob")

    # The day after tomorrow is planned first: that begins nothing late.
    files = shop.registry.version_dir("m2")
    files.rename(files.with_name("elsewhere"))
    score(as_of=MOMENT, plan_date=day + timedelta(days=1))
    assert shop.experiments.read("arms").starts_at == MOMENT + timedelta(days=1)
    planned = shop.plans.read_published(day + timedelta(days=1))
    assert planned["experiment"].isna().all(), "the disk is to blame, so nobody is in it this time"
    assert shop.experiments.read("arms").status == "running"
    assert "flow_failed" in {one.row["kind"] for one in shop.alerts.read()}
    files.with_name("elsewhere").rename(files)
    score(as_of=MOMENT, plan_date=day)
    planned = shop.plans.read_published(day).set_index("user_id")
    units = shop.units.exposures("arms", MOMENT + timedelta(days=2)).set_index("unit_id")
    assert planned["arm"].to_dict() == units["arm"].reindex(planned.index).to_dict()
    assert set(planned.loc[planned["arm"] == "noon", "slot"]) == {"midday"}
    usual = planned[planned["arm"] == "usual"]
    grid = pd.DataFrame([(user, slot) for user in usual.index for slot in ("morning", "midday", "evening")])
    grid.columns = ["user_id", "slot"]
    favourite = usual_slots(training_data(MOMENT).sessions, grid).set_index("user_id")["slot"]
    assert (usual["slot"] == favourite.reindex(usual.index)).mean() > 0.95
    assert planned.groupby("arm")["model_version"].unique().str[0].to_dict() == {
        **dict.fromkeys(("control", "noon", "usual"), champion),
        "other": "m2",
    }

    # Everybody who was pushed at noon leaves; the others buy.
    pushes = planned.reset_index()
    sent = pushes[["user_id", "push_id", "send_at"]].rename(columns={"send_at": "event_ts"})
    sent = sent.assign(event_type="push_sent", event_ts=sent["event_ts"].dt.as_unit("us"))
    left = sent[(pushes["arm"] == "noon").to_numpy()].assign(event_type="opt_out", push_id=None)
    left["event_ts"] += pd.Timedelta(hours=1)
    weeks_later = sent[:1].assign(event_type="search", push_id=None, event_ts=MOMENT + timedelta(days=24))
    rows = pd.concat([sent, left, weeks_later], ignore_index=True)
    rows["event_ts"] = rows["event_ts"].dt.as_unit("us")
    rows["event_id"] = [f"answer-{number}" for number in range(len(rows))]
    rows.to_parquet(tmp_path / "market" / "events" / "part-1.parquet", index=False)
    ingest()
    assert readout(as_of=MOMENT + timedelta(days=3)) == {"arms": "stop for harm"}
    stopped = shop.experiments.read("arms")
    assert (stopped.status, stopped.decision) == ("archived", "stop for harm")
    assert "experiment_stopped" in {one.row["kind"] for one in shop.alerts.read()}

    # What is begun and never planned for gives its users back.
    late = ARMS.replace('name = "arms"', 'name = "idle"', 1)
    (tmp_path / "idle").write_text(late, encoding="utf-8")
    typed(capsys, "launch", str(tmp_path / "idle"), *at)
    typed(capsys, "approve", "idle", "--by", "bob")
    assert allocation_of(shop, champion, None, MOMENT, day) is not None
    assert readout(as_of=MOMENT + timedelta(days=12)) == {"idle": "continue"}
    assert readout(as_of=MOMENT + timedelta(days=24)) == {"idle": "keep"}
    assert shop.experiments.read("idle").status == "archived"

    # Shares that move: users come in waves, whose shares stay as they were set.
    assert "proposed: bandit" in typed(capsys, "launch", str(tmp_path / "bandit"), *at)
    typed(capsys, "approve", "bandit", "--by", "bob")
    for number in (0, 0, 2):
        held = allocation_of(shop, champion, None, MOMENT, day + timedelta(days=number))
        assert held is not None and len(held.splits[0].wave_shares) == number + 1
    assert held.splits[0].wave_shares == ((0.25,) * 4,) * 3, "no window is over, so nothing has moved"
    assert "reallocated" in {one["what"] for one in shop.experiments.events("bandit")}
    (files / "ranker.json").write_text("{}", encoding="utf-8")
    batch = score(as_of=MOMENT, plan_date=day)
    assert batch.rows > 0 and shop.experiments.read("bandit").decision == "broken"
