"""The offline store against Feast's own, which is slow but says what is meant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from feast import (
    Entity,
    FeatureService,
    FeatureStore,
    FeatureView,
    Field,
    FileSource,
    OnDemandFeatureView,
    RepoConfig,
)
from feast.data_format import ParquetFormat
from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.types import Float64, Int64, String
from feast.value_type import ValueType

from features.errors import KairosError
from infra.offline_store import AsofOfflineStoreConfig

START = datetime(2017, 3, 1, tzinfo=UTC)
USER = Entity(name="user", join_keys=["user_id"], value_type=ValueType.STRING)
ITEM = Entity(name="item", join_keys=["item_id"], value_type=ValueType.STRING)


def twice(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"twice": frame["visits"].astype("float64") * 2})


def history(seed: int, rows: int, unit: str = "us") -> pd.DataFrame:
    """Rows with ties, nulls, no order."""
    rng = np.random.default_rng(seed)
    at = pd.to_datetime(START) + pd.to_timedelta(rng.integers(0, 200, rows), unit="h")
    return pd.DataFrame(
        {
            "user_id": rng.choice(["a", "b", "c", None], rows),
            "item_id": rng.choice(["x", "y"], rows),
            "ts": at.astype(f"datetime64[{unit}, UTC]"),
            "made": (at + pd.to_timedelta(np.arange(rows), unit="s")).astype(f"datetime64[{unit}, UTC]"),
            "visits": np.where(rng.random(rows) < 0.2, np.nan, rng.random(rows)),
            "n_raw": rng.integers(0, 9, rows),
        }
    )


@pytest.fixture
def objects(tmp_path: Path) -> list:
    history(1, 300).to_parquet(tmp_path / "user.parquet")
    history(2, 300, "ns").rename(columns={"visits": "pair_visits"}).to_parquet(tmp_path / "pair.parquet")
    user = FeatureView(
        name="user_visits",
        entities=[USER],
        ttl=timedelta(days=1),
        schema=[
            Field(name="user_id", dtype=String),
            Field(name="visits", dtype=Float64),
            Field(name="n", dtype=Int64),
        ],
        source=FileSource(
            path=str(tmp_path / "user.parquet"),
            timestamp_field="ts",
            created_timestamp_column="made",
            field_mapping={"n_raw": "n"},
        ),
    )
    pair = FeatureView(
        name="pair_visits_view",
        entities=[USER, ITEM],
        schema=[
            Field(name="user_id", dtype=String),
            Field(name="item_id", dtype=String),
            Field(name="pair_visits", dtype=Float64),
        ],
        source=FileSource(path="pair.parquet", timestamp_field="ts", created_timestamp_column="made"),
    )
    doubled = OnDemandFeatureView(
        name="doubled",
        sources=[user],
        schema=[Field(name="twice", dtype=Float64)],
        udf=twice,
        udf_string="def twice(frame):\n"
        "    return pd.DataFrame({'twice': frame['visits'].astype('float64') * 2})\n",
    )
    return [USER, ITEM, user, pair, doubled]


def open_store(folder: Path, objects: list, offline) -> FeatureStore:
    config = RepoConfig(
        project="test",
        registry=str(folder / f"{type(offline).__name__}.db"),
        offline_store=offline,
        online_store={"type": "sqlite", "path": str(folder / "online.db")},
        repo_path=folder,
    )
    store = FeatureStore(config=config)
    store.apply(objects)
    return store


@pytest.fixture
def ours(tmp_path: Path, objects: list) -> FeatureStore:
    return open_store(tmp_path, objects, AsofOfflineStoreConfig(threads=1, memory_limit="1GB"))


@pytest.fixture
def stock(tmp_path: Path, objects: list, monkeypatch) -> FeatureStore:
    monkeypatch.chdir(tmp_path)  # Feast's own store reads relative paths from here
    return open_store(tmp_path, objects, "duckdb")


def entities(rows: int = 200) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    at = pd.to_datetime(START) + pd.to_timedelta(rng.integers(-5, 210, rows), unit="h")
    return pd.DataFrame(
        {
            "order": np.arange(rows),
            "item_id": rng.choice(["x", "y", "z"], rows),
            "event_timestamp": at.astype("datetime64[us, UTC]"),
            "user_id": rng.choice(["a", "b", "d", None], rows),
            "note": "as it was",
        }
    )


REFS = ["user_visits:visits", "user_visits:n", "pair_visits_view:pair_visits", "doubled:twice"]


@pytest.mark.parametrize("full_feature_names", [False, True])
@pytest.mark.parametrize("refs", [REFS, ["pair_visits_view:pair_visits"], ["doubled:twice"]])
def test_same_answers_as_feast(ours, stock, refs, full_feature_names) -> None:
    frames = [
        store.get_historical_features(entities(), refs, full_feature_names=full_feature_names).to_df()
        for store in (ours, stock)
    ]
    mine, theirs = (frame.sort_values("order").reset_index(drop=True) for frame in frames)
    assert frames[0]["order"].tolist() == list(range(200)), "rows keep their order"
    assert set(mine.columns) == set(theirs.columns)
    pd.testing.assert_frame_equal(mine, theirs[mine.columns], check_dtype=False)


def test_created_later_than_asked_is_left_to_feast(ours, stock) -> None:
    frames = [
        store.get_historical_features(entities(), REFS[:3], filter_by_created_timestamp=True).to_df()
        for store in (ours, stock)
    ]
    mine, theirs = (frame.sort_values("order").reset_index(drop=True) for frame in frames)
    pd.testing.assert_frame_equal(mine, theirs[mine.columns])


def test_renamed_join_keys(ours, stock) -> None:
    asked = entities().rename(columns={"user_id": "sender"}).assign(receiver="b")
    for store in (ours, stock):
        view = store.get_feature_view("user_visits")
        service = FeatureService(
            name="both",
            features=[
                view.with_name("sender_view").with_join_key_map({"user_id": "sender"})[["visits"]],
                view.with_name("receiver_view").with_join_key_map({"user_id": "receiver"})[["visits"]],
            ],
        )
        store.apply([service])
    mine, theirs = (
        store.get_historical_features(asked, store.get_feature_service("both"), full_feature_names=True)
        .to_df()
        .sort_values("order", ignore_index=True)
        for store in (ours, stock)
    )
    pd.testing.assert_frame_equal(mine, theirs[mine.columns])


def test_only_what_is_asked_for(ours) -> None:
    job = ours.get_historical_features(entities(), REFS)
    read = job.read(["twice", "n"])
    pd.testing.assert_frame_equal(read.to_pandas(), job.to_df()[["twice", "n"]])
    with pytest.raises(KairosError, match="column 'nothing' is not in this retrieval"):
        job.read(["nothing"])


def test_naive_times_are_utc_and_text_is_parsed(ours) -> None:
    expected = ours.get_historical_features(entities(), REFS[:3]).to_df()
    naive = entities().assign(event_timestamp=lambda f: f["event_timestamp"].dt.tz_localize(None))
    text = entities().assign(event_timestamp=lambda f: f["event_timestamp"].astype(str))
    for frame in (naive, text):
        pd.testing.assert_frame_equal(ours.get_historical_features(frame, REFS[:3]).to_df(), expected)


def test_sql_entity_frame(ours) -> None:
    sql = "SELECT 'a' AS user_id, TIMESTAMPTZ '2017-03-05 00:00:00+00' AS event_timestamp"
    frame = ours.get_historical_features(sql, ["user_visits:visits"]).to_df()
    same = pd.DataFrame({"user_id": ["a"], "event_timestamp": [datetime(2017, 3, 5, tzinfo=UTC)]})
    expected = ours.get_historical_features(same, ["user_visits:visits"]).to_df()
    pd.testing.assert_frame_equal(frame, expected)


def test_empty_frame(ours) -> None:
    frame = ours.get_historical_features(entities().head(0), REFS).to_df()
    assert len(frame) == 0
    assert {"visits", "n", "pair_visits", "twice"} <= set(frame.columns)


def test_saved_dataset(ours, tmp_path) -> None:
    job = ours.get_historical_features(entities(), REFS)
    storage = SavedDatasetFileStorage(path=str(tmp_path / "saved.parquet"), file_format=ParquetFormat())
    saved = ours.create_saved_dataset(job, "saved", storage)
    assert set(saved.to_df().columns) >= {"visits", "n", "pair_visits", "twice"}
    expected = job.to_df()
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "saved.parquet"), expected)


def test_newest_rows(ours, stock) -> None:
    def newest(store: FeatureStore) -> pd.DataFrame:
        job = store._get_provider().offline_store.pull_latest_from_table_or_query(
            config=store.config,
            data_source=store.get_feature_view("user_visits").batch_source,
            join_key_columns=["user_id"],
            feature_name_columns=["visits", "n_raw"],
            timestamp_field="ts",
            created_timestamp_column="made",
            start_date=START,
            end_date=START + timedelta(hours=100),
        )
        return job.to_df().sort_values("user_id", ignore_index=True)

    mine, theirs = newest(ours), newest(stock)
    assert mine["ts"].max() <= START + timedelta(hours=100)
    pd.testing.assert_frame_equal(mine, theirs)


def test_errors_name_what_is_missing(ours, tmp_path) -> None:
    with pytest.raises(FeastEntityDFMissingColumnsError, match="item_id"):
        ours.get_historical_features(entities().drop(columns="item_id"), REFS)
    history(1, 3).drop(columns="n_raw").to_parquet(tmp_path / "user.parquet")
    with pytest.raises(KairosError, match="'user_visits' reads column 'n'"):
        ours.get_historical_features(entities(), REFS)


def test_a_function_that_drops_rows_is_an_error(tmp_path, objects) -> None:
    bad = OnDemandFeatureView(
        name="bad",
        sources=[objects[2]],
        schema=[Field(name="first", dtype=Float64)],
        udf=lambda frame: frame.head(1),
        udf_string="def first(frame):\n    return pd.DataFrame({'first': frame['visits'].head(1)})\n",
    )
    store = open_store(tmp_path, objects, AsofOfflineStoreConfig())
    bad.infer_features = lambda: None
    store.apply([bad])
    with pytest.raises(KairosError, match="returned 1 rows for 200"):
        store.get_historical_features(entities(), ["bad:first"]).to_df()
