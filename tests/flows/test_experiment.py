"""One experiment on a small market, from its file to its archive: approved, planned, judged, stopped."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, time, timedelta
from pathlib import Path

import pandas as pd
import pytest
from small_market import AS_OF, market_settings, write_small_market

from flows import cli

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


def test_an_experiment_from_file_to_archive(shop, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    for _ in range(2):
        assert readout(as_of=MOMENT + timedelta(days=6)) == {"lean": "ship"}
    assert "experiment_mismatch" not in {one.row["kind"] for one in shop.alerts.read()}
    _, rows = shop.database.read_only(
        "SELECT arm, lift_low > 1, verdict FROM kairos.experiment_readout WHERE metric = 'spend' "
        "AND arm = 'lean' ORDER BY as_of DESC LIMIT 1"
    )
    assert rows == [("lean", True, "better")]
    told = typed(capsys, "status", "lean")
    assert "ship lean" in told and "waiting" in told and "bob" in told

    assert "archived: lean, ship lean; set the policy" in typed(
        capsys, "stop", "lean", "--why", "as planned", "--by", "ann"
    )
    page = Path(shop.experiments.read("lean").report).read_text(encoding="utf-8")
    assert page.startswith("<!DOCTYPE html>") and "http" not in page.replace("http://www.w3.org", "")
    for words in ("ship: lean", "Planned looks", "as planned", "planned, never sent", "boundary", "bob"):
        assert words in page, words
    assert typed(capsys, "list").split("\n")[1].startswith("lean")
    assert score(as_of=MOMENT).checksum == before.checksum
