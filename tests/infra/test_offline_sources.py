"""What sources may be made of: files, folders, globs, all kinds of timestamps, nothing at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feast.feature_view import DUMMY_ENTITY_ID
from offline_world import NUMBER, TEXT, World, hour

from features.errors import KairosError
from infra.offline_store import AsofOfflineStore

ROWS = pa.table(
    {
        "name": ["a", "a", "b", "a"],
        "ts": pa.array([hour(n) for n in (0, 24, 24, 48)], pa.timestamp("us", "UTC")),
        "value": [0.0, 1.0, 2.0, 3.0],
    }
)
ASKED = pd.DataFrame({"name": ["a", "b", "a"], "event_timestamp": [hour(30), hour(30), hour(50)]})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def segments(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number in range(ROWS.num_rows):
        pq.write_table(ROWS.slice(number, 1), folder / f"{number}.parquet")
    return folder


@pytest.mark.parametrize("path", ["days", "days/*.parquet", "d?ys/[0-9].parquet", "**/*.parquet"])
def test_folders_and_globs(world, path) -> None:
    segments(world.folder / "days")
    view = world.view("view", path, {"name": TEXT})
    assert world.ask(ASKED, [view])["value"].to_pylist() == [1.0, 2.0, 3.0]
    named = AsofOfflineStore().get_table_column_names_and_types_from_data_source(
        world.config, view.batch_source
    )
    assert dict(named) == {"name": "string", "ts": "timestamp[us, tz=UTC]", "value": "double"}


def test_a_file_whose_name_has_wildcards_is_that_file(world) -> None:
    pq.write_table(ROWS, world.folder / "a[1]*.parquet")
    pq.write_table(ROWS.slice(0, 0), world.folder / "a1.parquet")
    view = world.view("view", "a[1]*.parquet", {"name": TEXT})
    assert world.ask(ASKED, [view])["value"].to_pylist() == [1.0, 2.0, 3.0]


def test_a_link_that_moves_on_does_not_mix_tables(world) -> None:
    """One retrieval reads the folder that the link led to when it was asked for."""
    segments(world.folder / "v-1" / "days")
    (world.folder / "v-2" / "days").mkdir(parents=True)
    pq.write_table(ROWS.slice(0, 0), world.folder / "v-2" / "days" / "0.parquet")
    current = world.folder / "current"
    current.symlink_to("v-1")
    view = world.view("view", "current/days/*.parquet", {"name": TEXT})
    job = world.job(ASKED, [view])
    current.unlink()
    current.symlink_to("v-2")
    assert job.to_arrow()["value"].to_pylist() == [1.0, 2.0, 3.0]
    assert world.ask(ASKED, [view])["value"].to_pylist() == [None] * 3


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (
            ROWS.set_column(2, "value", pa.array([1, 2, 3, 4], pa.int32())),
            "value int32 where .* value double",
        ),
        (ROWS.rename_columns(["name", "ts", "worth"]), "worth double where .* value double"),
        (ROWS.append_column("more", pa.array([1, 2, 3, 4])), "more int64 where .* nothing"),
    ],
)
def test_segments_that_differ_are_an_error(world, odd, said) -> None:
    """DuckDB alone would round 0.5 to 0, or leave a column out, and say nothing."""
    pq.write_table(odd, segments(world.folder / "days") / "9.parquet")
    with pytest.raises(KairosError, match=f"files that differ: .*9.parquet has {said}; write all segments"):
        world.ask(ASKED, [world.view("view", "days/*.parquet", {"name": TEXT})])


def test_zones_of_segments_may_differ(world) -> None:
    folder = segments(world.folder / "days")
    berlin = ROWS.set_column(1, "ts", ROWS["ts"].cast(pa.timestamp("us", "Europe/Berlin")))
    pq.write_table(berlin.slice(3, 1), folder / "3.parquet")
    view = world.view("view", "days/*.parquet", {"name": TEXT})
    assert world.ask(ASKED, [view])["value"].to_pylist() == [1.0, 2.0, 3.0]


def test_no_file_is_an_error_and_no_row_is_none(world) -> None:
    with pytest.raises(KairosError, match=r"'nowhere/\*.parquet' has no Parquet file"):
        world.ask(ASKED, [world.view("view", "nowhere/*.parquet", {"name": TEXT})])
    (world.folder / "broken.parquet").write_text("no Parquet")
    with pytest.raises(KairosError, match="cannot be read"):
        world.ask(ASKED, [world.view("view", "broken.parquet", {"name": TEXT})])
    empty = world.view("view", ROWS.slice(0, 0), {"name": TEXT})
    answers = world.ask(ASKED, [empty])
    assert answers["value"].to_pylist() == [None] * 3
    assert answers["value"].type == pa.float64()
    assert world.ask(ASKED.head(0), [empty]).num_rows == 0


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("ns"),
        pa.timestamp("ns", "Asia/Kathmandu"),
        pa.timestamp("ms"),
        pa.timestamp("s", "UTC"),
        pa.date32(),
        pa.string(),
    ],
)
@pytest.mark.parametrize("asked", [pa.timestamp("ns"), pa.timestamp("us", "America/New_York"), pa.date32()])
def test_an_instant_is_an_instant_whatever_its_type(world, kind, asked) -> None:
    """Naive is UTC; a date is its first instant in UTC."""
    naive = ROWS["ts"].cast(pa.timestamp("us"))
    times = naive if not getattr(kind, "tz", None) else ROWS["ts"]
    times = (
        pa.chunked_array([[str(t) for t in times.to_pylist()]]) if kind == pa.string() else times.cast(kind)
    )
    view = world.view("view", ROWS.set_column(1, "ts", times), {"name": TEXT})
    instants = pa.chunked_array([pa.array([hour(24), hour(24)], pa.timestamp("us", "UTC"))])
    if not getattr(asked, "tz", None):
        instants = instants.cast(pa.timestamp("us"))
    frame = pa.table({"name": ["a", "b"], "event_timestamp": instants.cast(asked)}).to_pandas()
    table = world.ask(frame, [view])
    assert table["value"].to_pylist() == [1.0, 2.0]
    assert table["event_timestamp"].to_pylist() == [hour(24)] * 2


def test_features_of_nanoseconds_stay_as_they_are(world) -> None:
    seen = pa.array([1_500_000_000_123_456_789] * 4, pa.timestamp("ns"))
    view = world.view("view", ROWS.append_column("seen", seen), {"name": TEXT}, ("seen",))
    assert world.ask(ASKED, [view])["seen"].cast(pa.int64()).to_pylist() == [1_500_000_000_123_456_789] * 3


def test_views_without_entities(world) -> None:
    view = world.view("all", ROWS.slice(1, 1), {})
    frame = pd.DataFrame({"event_timestamp": [hour(30), hour(1)]})
    assert world.ask(frame, [view])["value"].to_pylist() == [1.0, None]


def test_a_time_to_live_of_zero_is_for_ever(world) -> None:
    late = pd.DataFrame({"name": ["a"], "event_timestamp": [hour(24 * 9000)]})
    for ttl, expected in ((timedelta(0), 3.0), (None, 3.0), (timedelta(days=1), None)):
        assert world.ask(late, [world.view("view", ROWS, {"name": TEXT}, ttl=ttl)])["value"].to_pylist() == [
            expected
        ]


def pull(world: World, how: str, keys: list[str], features: list[str], **bounds) -> pd.DataFrame:
    source = world.view("view", ROWS, {"name": TEXT}).batch_source
    options = {"created_timestamp_column": None, "start_date": hour(0), "end_date": hour(48)} | bounds
    reader = getattr(world.store, f"pull_{how}_from_table_or_query")
    table = reader(world.config, source, keys, features, "ts", **options).to_arrow()
    return table.sort_by(
        [("ts", "ascending"), ("name", "ascending")] if "name" in table.column_names else "ts"
    )


def test_pulls(world) -> None:
    both = [world, World(world.folder, stock=True)]
    for end, values in ((48, [2.0, 3.0]), (24, [1.0, 2.0]), (47, [1.0, 2.0])):
        for each in both:
            newest = pull(each, "latest", ["name"], ["value"], end_date=hour(end))
            assert newest["value"].to_pylist() == values
    for bounds, count in (
        ({}, 4),
        ({"start_date": hour(24)}, 3),
        ({"end_date": None}, 4),
        ({"end_date": hour(0)}, 1),
    ):
        tables = [pull(each, "all", ["name"], ["value"], **bounds) for each in both]
        assert tables[0].equals(tables[1])
        assert tables[0].num_rows == count
    assert pull(world, "all", ["name"], []).column_names == ROWS.column_names, (
        "no features asked: all columns"
    )
    assert pull(world, "all", [], ["value"])[DUMMY_ENTITY_ID].to_pylist() == [""] * 4
    assert pull(world, "latest", [], ["value"])["value"].to_pylist() == [3.0]
    naive = pull(world, "latest", ["name"], ["value"], end_date=datetime(2017, 3, 2))  # noqa: DTZ001
    assert naive["value"].to_pylist() == [1.0, 2.0], "a naive bound is UTC"
    with pytest.raises(KairosError, match="lacks column 'nothing'"):
        pull(world, "latest", ["name"], ["nothing"])


def test_keys_of_other_kinds(world) -> None:
    rows = pa.table({"day": [date(2017, 3, 1)], "id": [7], "ts": ROWS["ts"][:1], "value": [5.0]})
    view = world.view("view", rows, {"day": TEXT, "id": NUMBER})
    asked = pd.DataFrame({"day": [date(2017, 3, 1)] * 2, "id": [7.0, None], "event_timestamp": [hour(1)] * 2})
    assert world.ask(asked, [view])["value"].to_pylist() == [5.0, None]
    assert world.ask(asked.assign(id=[None, None]), [view])["value"].to_pylist() == [None, None]
    with pytest.raises(
        KairosError, match="join key 'id' is string in the entity frame, BIGINT in the source"
    ):
        world.ask(asked.assign(id="7"), [view])


def test_what_sql_says_is_what_the_job_answers(world) -> None:
    import duckdb

    view = world.view("view", ROWS, {"name": TEXT}, ttl=timedelta(hours=3))
    job = world.job(ASKED.assign(extra=1), [view])
    con = duckdb.connect()
    con.execute("SET TimeZone = 'UTC'")
    con.register("entity_df", ASKED.assign(extra=1))
    columns = job.to_arrow().column_names
    told = con.sql(job.to_sql()).to_arrow_table().select(columns)
    order = [("event_timestamp", "ascending"), ("name", "ascending")]
    assert told.sort_by(order).to_pylist() == job.to_arrow().sort_by(order).to_pylist()
    assert datetime(2017, 3, 2, 6, tzinfo=UTC) in told["event_timestamp"].to_pylist()
