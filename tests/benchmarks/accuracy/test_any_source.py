"""Sources in the shape of public data sets: what is asked of each, and the whole benchmark on one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.materialize import resolved_as_of
from flows.wiring import Stores, open_stores
from infra.ingestion import ingest
from infra.settings import Settings
from infra.sources import open_source
from models.interaction_log import InteractionLog
from models.session_queries import SessionParams
from tests.benchmarks.accuracy.memory import watched_memory
from tests.benchmarks.accuracy.ours import best_rows, filled
from tests.benchmarks.accuracy.preparation import own_settings
from tests.benchmarks.accuracy.public_like import write_apps, write_films, write_shop
from tests.benchmarks.accuracy.report import measure, read_options, summary, write
from tests.benchmarks.accuracy.result import KAIROS, as_json
from tests.benchmarks.accuracy.sources import Occasions, bounded, read_occasions

PROMISED = ("ndcg10", "recall20", "map12", "hr10", "peer_ratio", "context_uplift", "candidate_recall200")
COSTS = ("wall_seconds", "peak_gb", "own_wall_seconds", "own_peak_gb")
BESIDE = ("slices", "ablations", "retrievers", "backtest", "peers", "protocol", "source", "timing", "joint")


@pytest.fixture
def opened(tmp_path: Path, postgres_url: str) -> Callable[[Path], Stores]:
    """Opens the stores of a home that reads from a folder."""

    def stores(folder: Path) -> Stores:
        settings = Settings(
            home=tmp_path / "home", source=f"parquet:{folder}", database_url=postgres_url, threads=1
        )
        return open_stores(settings)

    return stores


def occasions_of(stores: Stores) -> Occasions:
    ingest(open_source(stores.settings.source), stores.lake, now=datetime.now(UTC))
    return read_occasions(stores, resolved_as_of(stores, None))


def test_single_item_sessions_without_zones_users_or_purchases(opened, tmp_path: Path) -> None:
    found = occasions_of(opened(write_apps(tmp_path / "apps")))
    assert found.protocol["target"] == "view" and found.protocol["split"] == "time"
    queries = found.queries.queries
    assert (queries["n_items"] == 1).all()
    assert set(queries["device"]) == {"phone", "tablet"}
    assert queries["split"].value_counts(normalize=True)["train"] == pytest.approx(0.7, abs=0.03)
    assert (queries["cutoff_epoch_seconds"] % 86_400 == 0).all()


def test_users_days_and_a_split_of_the_sources_own(opened, tmp_path: Path) -> None:
    folder = write_films(tmp_path / "films")
    found = occasions_of(opened(folder))
    assert found.protocol["split"] == "events.split"
    events = pd.read_parquet(folder / "events.parquet")
    known = set(events.loc[events["split"] == "train", "item_id"])
    assert set(found.data.log.items.values) == known
    days = events.assign(day=events["event_ts"].dt.floor("D"))
    eligible = days[days["item_id"].isin(known)]
    for split, name in (("valid", "validation"), ("test", "test")):
        wanted = eligible[eligible["split"] == split].groupby(["user_id", "day"]).size()
        own = found.queries.queries[found.queries.queries["split"] == name]
        assert sorted(own["n_items"]) == sorted(wanted)


def test_purchases_are_the_target_where_there_are_any_and_the_rest_is_history(opened, tmp_path: Path) -> None:
    folder = write_shop(tmp_path / "shop")
    found = occasions_of(opened(folder))
    assert found.protocol["target"] == "purchase"
    events = pd.read_parquet(folder / "events.parquet")
    bought = events[events["event_type"] == "purchase"]
    pairs = set(zip(bought["user_id"], bought["item_id"], strict=True))
    asked = found.queries.queries.set_index("query_id")["user_id"]
    truth = found.queries.truth
    assert set(zip(asked[truth["query_id"]], truth["item_id"], strict=True)) <= pairs
    assert np.unique(found.data.log.weight).tolist() == pytest.approx([0.1, 0.4, 1.0])
    assert found.data.engagements is not None and len(found.data.engagements.events)


def test_the_whole_benchmark_runs_on_a_source_that_tells_little(opened, tmp_path: Path) -> None:
    stores = opened(write_apps(tmp_path / "apps", sessions=260, users=20, items=30))
    with watched_memory() as watch:
        report, result = measure(stores, watch, read_options(["--tuning-seconds", "0"]))
    for key in (*PROMISED, *COSTS, *BESIDE):
        assert key in result, key
    assert result["ndcg10"][KAIROS] == pytest.approx(report.models["Kairos, all context"]["ndcg@10"].mean)
    assert len(result["ndcg10"]) == 1 + len(result["peers"])
    assert result["peer_ratio"]["low"] <= result["peer_ratio"]["ratio"] <= result["peer_ratio"]["high"]
    assert 0 < result["candidate_recall200"] <= result["candidate_recall"] <= 1
    assert 0 < result["own_wall_seconds"] <= result["wall_seconds"]
    assert json.loads(write(tmp_path, result).read_text()) == result
    assert any("queries of" in line for line in summary(result))


def test_another_source_never_replaces_what_a_home_holds(opened, tmp_path: Path, monkeypatch) -> None:
    stores = opened(write_apps(tmp_path / "apps", sessions=30))
    assert own_settings(stores.settings).home == stores.settings.home
    occasion = open_source(stores.settings.source)
    ingest(occasion, stores.lake, now=datetime.now(UTC))
    assert own_settings(stores.settings).home == stores.settings.home
    other = stores.settings.model_copy(update={"source": f"parquet:{tmp_path / 'films'}"})
    monkeypatch.setenv("KAIROS_SOURCE", other.source)
    apart = own_settings(other)
    assert apart.home.parent == stores.settings.home / "bench" / "sources"
    assert apart.source == other.source


def test_a_large_catalogue_is_asked_less_often() -> None:
    small, large = (bounded(SessionParams(), items) for items in (25_000, 50_000))
    assert small == SessionParams()
    assert (large.train_queries, large.validation_queries, large.test_queries) == (6_000, 1_250, 3_000)


def test_the_best_rows_of_each_query() -> None:
    rows = best_rows(np.array([7, 7, 7, 9]), np.array([0.1, 0.9, 0.5, 0.0]), 2)
    assert sorted(rows.tolist()) == [1, 2, 3]


def test_numbers_become_json() -> None:
    told = as_json({"a": np.float32(1.5), "b": (np.int64(2), float("nan")), 3: np.array([True])})
    assert told == {"a": 1.5, "b": [2, None], "3": [True]}


def test_short_lists_are_filled_with_what_is_popular() -> None:
    bought = pd.DataFrame({"user_id": list("uvwuv"), "item_id": list("aaabb"), "session_id": list("12345")})
    bought = bought.assign(
        **dict.fromkeys(("epoch_seconds", "local_day", "local_weekday", "local_midnight_epoch_seconds"), 0),
        **dict.fromkeys(("category", "store_id", "daypart"), "unknown"),
        event_type="purchase",
    )
    log = InteractionLog.from_frame(bought).restricted_to(list("abcd"))
    queries = pd.DataFrame({"fit_epoch_seconds": [log.known_until] * 2})
    ranked = np.array([[3, -1, -1], [1, 2, 0]], dtype=np.int32)
    assert filled(ranked, log, queries).tolist() == [[3, 0, 1], [1, 2, 0]]
