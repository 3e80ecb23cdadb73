"""The online stores, on a real PostgreSQL and on SQLite."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from feast import Entity, FeatureView, RepoConfig
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import StringList, Value
from feast.types import Array, Bool, Float64, Int64, String
from online_stores import KINDS, entity, feature_view, new_store, repo_config

from features.errors import KairosError

DAY = datetime(2017, 3, 1, tzinfo=UTC)
USER, ITEM = entity("user_id"), entity("item_id")
FEATURES = {"count": Int64, "rate": Float64, "kind": String, "seen": Bool}


def view(
    features: dict = FEATURES, entities: tuple[Entity, ...] = (USER, ITEM), ttl: timedelta = timedelta(0)
) -> FeatureView:
    return feature_view("user item: 'odd' \"name\"", list(entities), features, ttl=ttl)


def key(user: str, item: str) -> EntityKey:
    values = [Value(string_val=user), Value(string_val=item)]
    return EntityKey(join_keys=["user_id", "item_id"], entity_values=values)


def row(user: str, item: str, count: int, at: datetime = DAY, created: datetime | None = None) -> tuple:
    values = {
        "count": Value(int64_val=count),
        "rate": Value(double_val=0.1 + 0.2),
        "kind": Value(),
        "seen": Value(),
    }
    return key(user, item), values, at, created


def arrow(rows: list[tuple[str, str, int | None, datetime]]) -> pa.Table:
    times = pa.array([r[3] for r in rows], pa.timestamp("us", "UTC"))
    return pa.table(
        {
            "item_id": pa.array([r[1] for r in rows], pa.string()),
            "user_id": pa.array([r[0] for r in rows], pa.string()),
            "count": pa.array([r[2] for r in rows], pa.int64()),
            "rate": pa.array([0.1 + 0.2] * len(rows)),
            "kind": pa.array(['q"u,o\nte'] * len(rows), pa.string()),
            "seen": pa.array([True] * len(rows)),
            "event_timestamp": times,
            "created_timestamp": times,
        }
    )


@pytest.fixture(params=KINDS)
def kind(request) -> str:
    return request.param


@pytest.fixture
def config(kind: str, postgres_url: str, tmp_path: Path) -> RepoConfig:
    return repo_config(kind, postgres_url, tmp_path)


@pytest.fixture
def store(kind: str, config: RepoConfig):
    store = new_store(kind)
    store.update(config, [view()], [view()], [], [], partial=False)
    yield store
    store.teardown(config, [view()], [])


def counts(store, config, *keys: tuple[str, str], of: FeatureView | None = None) -> list[int | None]:
    found = store.online_read(config, of or view(), [key(*k) for k in keys])
    return [None if values is None else values["count"].int64_val for _, values in found]


def test_reads_in_the_order_asked_with_gaps_and_repeats(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1), row("b", "x", 2), row("a", "y", 3)], None)
    asked = [("a", "y"), ("z", "z"), ("b", "x"), ("a", "y"), ("a", "x")]
    assert counts(store, config, *asked) == [3, None, 2, 3, 1]
    assert store.online_read(config, view(), []) == []


def test_values_come_back_to_the_bit_and_nulls_as_nulls(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1, DAY.replace(tzinfo=None))], None)
    [(at, values)] = store.online_read(config, view(), [key("a", "x")], ["rate", "kind"])
    assert at == DAY
    assert values == {"rate": Value(double_val=0.1 + 0.2), "kind": Value()}


def test_newest_row_of_a_batch_wins_whatever_the_order(store, config) -> None:
    later = DAY + timedelta(hours=1)
    batch = [row("a", "x", 2, later, DAY), row("a", "x", 3, later, later), row("a", "x", 1, DAY)]
    store.online_write_batch(config, view(), batch, None)
    assert counts(store, config, ("a", "x")) == [3]


def test_a_late_older_value_changes_nothing(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 2, DAY, DAY)], None)
    store.online_write_batch(config, view(), [row("a", "x", 1, DAY - timedelta(seconds=1))], None)
    assert store.replace_latest(config, view(), arrow([("a", "x", 1, DAY - timedelta(days=1))])) == 0
    assert counts(store, config, ("a", "x")) == [2]
    store.online_write_batch(config, view(), [row("a", "x", 5, DAY, DAY)], None)
    assert counts(store, config, ("a", "x")) == [5], "of equals the one written last"


def test_a_rerun_writes_nothing(store, config) -> None:
    loaded = arrow([("a", "x", 1, DAY), ("b", "x", None, DAY)])
    assert store.replace_latest(config, view(), loaded) == 2
    assert store.replace_latest(config, view(), loaded) == 0
    assert store.replace_latest(config, view(), arrow([("a", "x", 1, DAY), ("b", "x", 2, DAY)])) == 1


def test_bulk_load_equals_single_writes(store, config) -> None:
    loaded = arrow([("a", "x", 1, DAY), ("a", "x", 2, DAY + timedelta(hours=1)), ("", "y", None, DAY)])
    assert store.replace_latest(config, view(), loaded) == 2
    [(at, values), (_, empty)] = store.online_read(config, view(), [key("a", "x"), key("", "y")])
    assert at == DAY + timedelta(hours=1)
    assert values == {
        "count": Value(int64_val=2),
        "rate": Value(double_val=0.1 + 0.2),
        "kind": Value(string_val='q"u,o\nte'),
        "seen": Value(bool_val=True),
    }
    assert empty["count"] == Value()


def test_rows_past_their_time_go(store, config) -> None:
    store.replace_latest(config, view(), arrow([("a", "x", 1, DAY), ("b", "x", 2, DAY + timedelta(days=9))]))
    store.replace_latest(config, view(), arrow([]), expire_before=DAY + timedelta(seconds=1))
    assert counts(store, config, ("a", "x"), ("b", "x")) == [None, 2]


def test_a_failed_load_changes_nothing(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1)], None)
    bad = arrow([("a", "x", 2, DAY + timedelta(days=1)), ("b", "x", 3, DAY)])
    bad = bad.set_column(bad.column_names.index("count"), "count", pa.array(["2", "three"]))
    with pytest.raises(KairosError, match="column 'count' is string, which is no INT64"):
        store.replace_latest(config, view(), bad)

    def torn():
        yield from arrow([("a", "x", 2, DAY + timedelta(days=1))]).to_batches()
        raise OSError("the source broke off")

    with pytest.raises(OSError, match="broke off"):
        store.replace_latest(config, view(), torn(), complete=True)
    assert counts(store, config, ("a", "x"), ("b", "x")) == [1, None]


def test_tables_follow_their_views(store, config) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1)], None)
    wider = view({"count": Int64, "share": Float64})
    store.update(config, [], [wider], [], [], partial=True)
    assert counts(store, config, ("a", "x"), of=wider) == [1], "rows survive a new column"
    assert store.online_read(config, wider, [key("a", "x")])[0][1]["share"] == Value()
    store.update(config, [], [view({"count": Float64})], [], [], partial=True)
    assert store.online_read(config, view({"count": Float64}), [key("a", "x")]) == [(None, None)]
    store.update(config, [view()], [], [], [], partial=False)
    with pytest.raises(KairosError, match="has no such table"):
        counts(store, config, ("a", "x"))


def test_a_view_that_was_not_applied_takes_no_rows(store, config) -> None:
    stranger = feature_view("stranger", [USER, ITEM], FEATURES)
    with pytest.raises(KairosError, match=r"no (such )?table .*apply its view first"):
        store.replace_latest(config, stranger, arrow([("a", "x", 1, DAY)]))


def test_any_order_of_loads_leaves_what_a_dictionary_would(store, config) -> None:
    rng = random.Random(3)
    known: dict[tuple[str, str], tuple[datetime, int]] = {}
    for step in range(40):
        drawn = [
            (rng.choice("abc"), rng.choice("xyz"), 10 * step + n, DAY + timedelta(hours=rng.randrange(6)))
            for n in range(rng.randrange(6))
        ]
        gone = [(rng.choice("abc"), rng.choice("xyz")) for _ in range(rng.randrange(3))]
        complete, limit = rng.random() < 0.2, DAY + timedelta(hours=rng.randrange(3))
        if rng.random() < 0.3:
            store.online_write_batch(config, view(), [row(*one) for one in drawn], None)
            gone, complete, limit = [], False, DAY
        else:
            keys = pa.table({"user_id": [u for u, _ in gone], "item_id": [i for _, i in gone]})
            keys = keys.cast(pa.schema([("user_id", pa.string()), ("item_id", pa.string())]))
            loaded = arrow(drawn).drop_columns(["created_timestamp"])
            store.replace_latest(config, view(), loaded, limit, gone=keys, complete=complete)
        for key_gone in gone:
            known.pop(key_gone, None)
        if complete:
            known = {k: v for k, v in known.items() if k in {one[:2] for one in drawn}}
        for user, item, count, at in drawn:
            if known.get((user, item), (DAY, 0))[0] <= at:
                known[user, item] = (at, count)
        known = {k: v for k, v in known.items() if v[0] >= limit}
        asked = [(user, item) for user in "abc" for item in "xyz"]
        assert counts(store, config, *asked) == [known.get(k, (DAY, None))[1] for k in asked], step


def test_types_without_a_match_are_kept_as_bytes(store, config) -> None:
    lists = view({"count": Int64, "tags": Array(String)})
    store.update(config, [], [lists], [], [], partial=True)
    tags = Value(string_list_val=StringList(val=["a", "b"]))
    store.online_write_batch(config, lists, [(key("a", "x"), {"tags": tags}, DAY, None)], None)
    assert store.online_read(config, lists, [key("a", "x")])[0][1]["tags"] == tags
    loaded = arrow([("a", "x", 2, DAY), ("b", "x", 3, DAY)])
    loaded = loaded.append_column("tags", pa.array([["c"], None], pa.list_(pa.string())))
    store.replace_latest(config, lists, loaded)
    found = store.online_read(config, lists, [key("a", "x"), key("b", "x")])
    tags = Value(string_list_val=StringList(val=["c"]))
    assert [values["tags"] for _, values in found] == [tags, Value()]


def test_a_missing_column_is_named(store, config) -> None:
    with pytest.raises(KairosError, match="column 'rate' is missing"):
        store.replace_latest(config, view(), arrow([]).drop_columns(["rate"]))
    with pytest.raises(KairosError, match=r"keys of online table .* lack column 'item_id'"):
        store.replace_latest(config, view(), arrow([]), gone=pa.table({"user_id": ["a"]}))
    without_key = arrow([("a", "x", 1, DAY)]).set_column(0, "item_id", pa.nulls(1, pa.string()))
    with pytest.raises(KairosError, match="1 of 1 rows have no 'item_id'"):
        store.replace_latest(config, view(), without_key)


def test_gone_keys_lose_their_rows_before_the_new_ones_come(store, config) -> None:
    later = DAY + timedelta(days=1)
    store.replace_latest(
        config, view(), arrow([("a", "x", 1, later), ("b", "x", 2, later), ("c", "x", 3, DAY)])
    )
    gone = pa.table({"item_id": ["x", "x", "x"], "user_id": ["a", "b", "never seen"]})
    store.replace_latest(config, view(), arrow([("a", "x", 4, DAY)]), gone=gone)
    assert counts(store, config, ("a", "x"), ("b", "x"), ("c", "x")) == [4, None, 3]


def test_a_complete_load_leaves_nothing_else(store, config) -> None:
    later = DAY + timedelta(days=1)
    store.replace_latest(
        config, view(), arrow([("a", "x", 1, later), ("b", "x", 2, DAY), ("c", "y", 3, DAY)])
    )
    store.replace_latest(
        config, view(), arrow([("a", "x", 4, DAY), ("c", "y", 5, DAY), ("c", "x", 6, DAY)]), complete=True
    )
    asked = [("a", "x"), ("b", "x"), ("c", "y"), ("c", "x")]
    assert counts(store, config, *asked) == [1, None, 5, 6], "newer rows stay"
    store.replace_latest(config, view(), arrow([]), complete=True)
    assert counts(store, config, *asked) == [None] * 4


def test_rows_past_their_ttl_read_as_missing(store, config) -> None:
    brief = view(ttl=timedelta(hours=6))
    store.replace_latest(config, view(), arrow([("a", "x", 1, DAY), ("b", "x", 2, DAY + timedelta(hours=1))]))
    store.clock = lambda: DAY + timedelta(hours=6)
    assert counts(store, config, ("a", "x"), ("b", "x"), of=brief) == [1, 2], "the limit itself is fresh"
    store.clock = lambda: DAY + timedelta(hours=6, microseconds=1)
    assert counts(store, config, ("a", "x"), ("b", "x"), of=brief) == [None, 2]
    assert counts(store, config, ("a", "x"), ("b", "x")) == [1, 2], "ttl 0 is for ever"
    store.clock = lambda: DAY - timedelta(days=30)
    assert counts(store, config, ("a", "x"), of=brief) == [1], "a row that is valid only later is answered"


def test_names_longer_than_a_database_allows(store, config) -> None:
    features = {"f" * 70 + "1": Int64, "f" * 70 + "2": Int64, "event_timestamp": Int64, "50%": Int64}
    twins = [feature_view("v" * 80 + end, [USER], features) for end in "ab"]
    store.update(config, [], twins, [], [], partial=True)
    for number, one in enumerate(twins):
        asked = EntityKey(join_keys=["user_id"], entity_values=[Value(string_val="a")])
        values = {name: Value(int64_val=10 * number + n) for n, name in enumerate(features)}
        store.online_write_batch(config, one, [(asked, values, DAY, None)], None)
    for one in twins:
        [(_, found)] = store.online_read(config, one, [asked])
        assert [value.int64_val for value in found.values()] == (
            [0, 1, 2, 3] if one is twins[0] else [10, 11, 12, 13]
        )
    store.update(config, [], twins, [], [], partial=True)
    assert store.online_read(config, twins[0], [asked])[0][0] == DAY, "nothing is made anew"
    store.update(config, twins, [], [], [], partial=True)


@pytest.mark.parametrize("kind", ["postgres"], indirect=True)
def test_reading_survives_a_server_that_closed_the_connection(store, config, postgres_url) -> None:
    store.online_write_batch(config, view(), [row("a", "x", 1)], None)
    assert counts(store, config, ("a", "x")) == [1]
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as con:
        con.execute("SELECT pg_terminate_backend(%s)", [store._reader[2].info.backend_pid])
    assert counts(store, config, ("a", "x")) == [1]


def test_the_password_is_never_shown(tmp_path) -> None:
    config = repo_config("postgres", "postgresql+psycopg://kairos:hunter2@127.0.0.1:1/shop", tmp_path)
    assert "hunter2" not in repr(config) + str(config.online_store) + config.online_store.model_dump_json()
    with pytest.raises(KairosError, match=r"127\.0\.0\.1") as failure:
        new_store("postgres").online_read(config, view(), [key("a", "x")])
    assert "hunter2" not in str(failure.value)


def test_a_file_that_cannot_be_opened_is_named(tmp_path) -> None:
    (tmp_path / "online.db").mkdir()
    with pytest.raises(KairosError, match=r"online\.db cannot be opened"):
        new_store("sqlite").online_read(repo_config("sqlite", "", tmp_path), view(), [key("a", "x")])
