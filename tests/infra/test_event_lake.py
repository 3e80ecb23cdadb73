"""The lake is replaced whole or not at all, reruns leave the same bytes, and no reader sees the future."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from features.errors import ContractError, KairosError, UsageError
from features.source_mapping import SourceMapping
from infra.event_lake import EventLake
from infra.ingestion import ingest
from infra.lake_files import digest_tree, disk_errors
from infra.lock import exclusive_lock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
START = datetime(2025, 3, 1, 23, 30, tzinfo=UTC)


class FramesSource:
    """A source of frames in memory; an exception among a table's chunks is raised when its turn comes."""

    name = "frames"
    mapping = SourceMapping()

    def __init__(self, *, version: str = "1", default_timezone: str = "UTC", **tables: list[Any]) -> None:
        self.version = version
        self.default_timezone = default_timezone
        self.tables = tables
        self.reads = 0

    def fingerprint(self) -> str:
        return self.version

    def notes(self) -> tuple[str, ...]:
        return ("made up",)

    def read(self, table: str) -> Iterator[pd.DataFrame]:
        self.reads += 1
        for chunk in self.tables.get(table, []):
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk


def events(first: int = 0, count: int = 10, **columns: Any) -> pd.DataFrame:
    """Purchases twenty minutes apart, two users and three items in turn."""
    numbers = range(first, first + count)
    return pd.DataFrame(
        {
            "event_id": [f"e{n}" for n in numbers],
            "user_id": [f"u{n % 2}" for n in numbers],
            "item_id": [f"i{n % 3}" for n in numbers],
            "event_type": "purchase",
            "event_ts": [START + timedelta(minutes=20 * n) for n in numbers],
            "amount": [float(n) for n in numbers],
        }
        | columns
    )


ITEMS = pd.DataFrame({"item_id": ["i0", "i1", "i2"], "created_ts": [None, START, "2025-03-02T01:00Z"]})
USERS = pd.DataFrame(
    {"user_id": ["u0", "u1"], "timezone": ["Asia/Tokyo", None], "push_consent": [True, None]}
)


def source(**changes: Any) -> FramesSource:
    return FramesSource(**({"events": [events()], "items": [ITEMS], "users": [USERS]} | changes))


def count(lake: EventLake, table: str, as_of: datetime | None = None) -> int:
    return int(lake.connect(as_of).execute(f"SELECT count(*) FROM {table}").fetchall()[0][0])


@pytest.fixture
def lake(tmp_path: Path) -> EventLake:
    return EventLake(tmp_path / "lake", memory_gb=0.5)


def test_rows_come_back_by_utc_day_in_order(lake: EventLake) -> None:
    seen: list[tuple[str, int]] = []
    summary = ingest(source(), lake, now=NOW, progress=lambda table, rows: seen.append((table, rows)))
    assert summary.changed
    assert summary.accepted == {"events": 10, "users": 2, "items": 3, "promotions": 0}
    assert seen == [("events", 10), ("users", 2), ("items", 3)]
    days = sorted(path.name for path in (lake.root / "current" / "events").iterdir())
    assert days == ["day=2025-03-01", "day=2025-03-02"]
    rows = lake.connect().execute("SELECT event_id, event_ts, device FROM events ORDER BY event_ts").df()
    assert rows["event_id"].tolist() == [f"e{n}" for n in range(10)]
    assert str(rows["event_ts"].dtype) == "datetime64[us, UTC]"
    assert set(rows["device"]) == {"unknown"}
    manifest = lake.manifest()
    assert manifest is not None and manifest == summary.manifest
    assert (manifest.first_event, manifest.last_event) == (START, START + timedelta(minutes=180))
    assert manifest.notes == ("made up",)
    assert "users.push_consent: 1 of 2 users gave none, they get no push" in manifest.degraded


def test_countries_and_cities_are_regions_and_places_in_them(lake: EventLake) -> None:
    told = events(country="fr", city="Lyon", weather="rain", cost="free")
    people = USERS.assign(country="de")
    manifest = ingest(source(events=[told], users=[people]), lake, now=NOW).manifest
    rows = lake.connect().execute("SELECT DISTINCT region, store_id, weather, device FROM events").fetchall()
    assert rows == [("fr", "Lyon", "rain", "unknown")]
    assert lake.connect().execute("SELECT DISTINCT region FROM users").fetchall() == [("de",)]
    assert manifest.notes == (
        "made up",
        "events: read country as region, city as store_id",
        "users: read country as region",
    )


def test_nothing_at_or_after_as_of_is_known(lake: EventLake) -> None:
    ingest(source(), lake, now=NOW)
    for n in range(11):
        assert count(lake, "events", START + timedelta(minutes=20 * n)) == n
    assert count(lake, "events") == 10
    assert [count(lake, "items", moment) for moment in (START, START + timedelta(seconds=1), NOW)] == [
        1,
        2,
        3,
    ]
    eastern = (START + timedelta(minutes=40)).astimezone(tz=None)
    assert count(lake, "events", eastern) == 2
    with pytest.raises(UsageError, match="must carry a timezone"):
        lake.connect(datetime(2025, 3, 1))  # noqa: DTZ001


def test_a_lake_from_before_a_column_reads_it_as_unknown(lake: EventLake) -> None:
    ingest(source(), lake, now=NOW)
    for path in (lake.root / "current").glob("events/*/*.parquet"):
        pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["split", "amount"]), path)
    rows = lake.connect().sql("SELECT split, amount, device FROM events")
    assert [str(kind) for kind in rows.types] == ["VARCHAR", "DOUBLE", "VARCHAR"]
    assert set(rows.fetchall()) == {(None, None, "unknown")}


def test_a_part_of_the_past_can_be_read_by_itself(lake: EventLake) -> None:
    ingest(source(), lake, now=NOW)
    early, late = START + timedelta(minutes=20), START + timedelta(minutes=100)
    connection = lake.connect(late, since=early)
    rows = connection.execute("SELECT event_id FROM events ORDER BY event_ts").fetchall()
    assert rows == [("e1",), ("e2",), ("e3",), ("e4",)]
    assert count(lake, "items", START) == 1
    known = lake.connect(START, since=early, known_keys=False)
    assert known.execute("SELECT count(*) FROM items").fetchall() == [(3,)], "all zones and categories"
    with pytest.raises(UsageError, match="since == 2025-03-01T00:00:00, must carry a timezone"):
        lake.connect(since=datetime(2025, 3, 1))  # noqa: DTZ001


def test_the_manifest_tells_which_days_changed(lake: EventLake) -> None:
    before = ingest(source(), lake, now=NOW).manifest
    assert {day: content.events for day, content in before.days.items()} == {"2025-03-01": 2, "2025-03-02": 8}
    assert set(before.digests) == {"users", "items", "promotions"}
    changed = events()
    changed.loc[9, "amount"] = 77.0
    after = ingest(source(version="2", events=[changed]), lake, now=NOW).manifest
    assert after.days["2025-03-01"] == before.days["2025-03-01"]
    assert after.days["2025-03-02"].digest != before.days["2025-03-02"].digest
    assert after.digests == before.digests
    assert lake.manifest() == after


def test_rerun_is_skipped_and_a_forced_one_leaves_the_same_bytes(lake: EventLake, tmp_path: Path) -> None:
    first = ingest(source(), lake, now=NOW)
    before = digest_tree(lake.root / "current")
    again = source()
    assert not ingest(again, lake, now=NOW).changed
    assert again.reads == 0
    rebuilt = ingest(source(version="2"), lake, now=NOW)  # other files, equal rows
    assert rebuilt.manifest.fingerprint == first.manifest.fingerprint == lake.fingerprint()
    other = EventLake(tmp_path / "other")
    chunked = source(events=[events(0, 3), events(3, 7)])  # how it was cut leaves no trace
    ingest(chunked, other, now=NOW)
    assert digest_tree(other.root / "current") == before


def test_a_source_without_fingerprint_is_always_read(lake: EventLake) -> None:
    assert ingest(source(version=""), lake, now=NOW).changed
    again = source(version="")
    assert not ingest(again, lake, now=NOW).changed
    assert again.reads > 0


@pytest.mark.parametrize("table", ["events", "users", "items", "promotions"])
def test_a_crash_at_any_table_leaves_the_old_lake(lake: EventLake, table: str) -> None:
    ingest(source(), lake, now=NOW)
    before = digest_tree(lake.root / "current")
    broken = {"events": [events(count=5)], "items": [ITEMS], "users": [USERS]}
    broken[table] = [*broken.get(table, []), KeyboardInterrupt()]
    with pytest.raises(KeyboardInterrupt):
        ingest(FramesSource(version="2", **broken), lake, now=NOW)
    assert digest_tree(lake.root / "current") == before
    assert not lake.staging.exists()


def test_leftovers_of_a_killed_ingest_are_cleaned(lake: EventLake) -> None:
    ingest(source(), lake, now=NOW)
    for leftover in (
        lake.staging / "raw",
        lake.root / "v-0123456789abcdef",
        lake.root / "spill" / "999999-0",
    ):
        leftover.mkdir(parents=True)
        (leftover / "half.parquet").write_bytes(b"half")
    assert count(lake, "events") == 10  # readers never look there
    assert not ingest(source(), lake, now=NOW).changed
    names = {path.name for path in lake.root.iterdir() if path.is_dir() and not path.is_symlink()}
    assert names == {"spill", (lake.root / "current").readlink().name}


@pytest.mark.parametrize("step", ["sync_tree", "digest_tree", "point_to"])
def test_a_crash_while_replacing_leaves_one_whole_lake(
    lake: EventLake, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    ingest(source(), lake, now=NOW)

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(f"infra.event_lake.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            ingest(source(version="2", events=[events(count=4)]), lake, now=NOW)
    assert count(lake, "events") == 10
    assert ingest(source(version="2", events=[events(count=4)]), lake, now=NOW).changed
    assert count(lake, "events") == 4


def test_an_open_reader_keeps_what_it_opened(lake: EventLake) -> None:
    ingest(source(), lake, now=NOW)
    reader = lake.connect()
    ingest(source(version="2", events=[events(count=4)]), lake, now=NOW)
    assert reader.execute("SELECT count(*) FROM events").fetchall() == [(10,)]
    assert count(lake, "events") == 4


def test_quarantine_is_kept_with_reasons(lake: EventLake) -> None:
    bad = events(10, 1, event_type="bought")
    summary = ingest(source(events=[events(), bad]), lake, now=NOW, max_quarantine_share=0.1)
    assert summary.quarantined["events"] == {"unknown event_type": 1}
    kept = pd.read_parquet(lake.root / "current" / "quarantine" / "events.parquet")
    assert kept[["event_id", "event_type", "reason"]].to_numpy().tolist() == [
        ["e10", "bought", "unknown event_type"]
    ]


def test_too_much_quarantine_blocks_and_shows_why(lake: EventLake) -> None:
    ingest(source(), lake, now=NOW)
    bad = source(
        version="2", events=[events(), events(10, 1, event_type="bought"), events(11, 1, amount=-1.0)]
    )
    with pytest.raises(KairosError) as caught:
        ingest(bad, lake, now=NOW)
    words = str(caught.value)
    assert words.startswith("events: 2 of 12 rows quarantined, a share of 0.167, must be <= 0.05: ")
    assert "unknown event_type (1)" in words and "negative amount (1)" in words
    assert "KAIROS_MAX_QUARANTINE_SHARE" in words and "\n" not in words
    assert len(pd.read_parquet(lake.refused / "events.parquet")) == 2
    assert count(lake, "events") == 10
    assert ingest(bad, lake, now=NOW, max_quarantine_share=0.2).changed
    assert not lake.refused.exists()
    with pytest.raises(KairosError, match="2 of 12 rows quarantined"):
        ingest(bad, lake, now=NOW)  # unchanged, but the bound is not what it was


def test_keys_are_unique_across_chunks(lake: EventLake) -> None:
    chunks = [events(), events(0, 2), events(5, 1, amount=99.0), events(9, 3)]
    summary = ingest(source(events=chunks), lake, now=NOW, max_quarantine_share=0.1)
    counts = summary.manifest.tables["events"]
    assert (counts.accepted, counts.repeats) == (12, 3)
    assert counts.reasons == {"duplicate event_id with other content": 1}
    rows = lake.connect().execute("SELECT event_id, amount FROM events ORDER BY event_ts").fetchall()
    assert rows == [(f"e{n}", float(n)) for n in range(12)]
    items = ingest(source(version="2", items=[ITEMS, ITEMS]), lake, now=NOW).manifest.tables["items"]
    assert (items.accepted, items.repeats, items.quarantined) == (3, 3, 0)


def test_events_that_were_in_the_future_are_read_again(lake: EventLake) -> None:
    early = START + timedelta(minutes=170)
    assert ingest(source(), lake, now=early, max_quarantine_share=0.1).accepted["events"] == 9
    assert ingest(source(), lake, now=NOW).accepted["events"] == 10


def test_users_are_derived_when_there_is_no_such_table(lake: EventLake) -> None:
    summary = ingest(source(users=[], default_timezone="Asia/Tokyo"), lake, now=NOW)
    query = "SELECT user_id, timezone, push_consent FROM users ORDER BY user_id"
    users = lake.connect().execute(query).fetchall()
    assert users == [("u0", "Asia/Tokyo", False), ("u1", "Asia/Tokyo", False)]
    assert "users.push_consent: 2 of 2 users gave none, they get no push" in summary.manifest.degraded


@pytest.mark.parametrize("table", ["events", "items"])
def test_a_source_without_events_or_items_is_refused(lake: EventLake, table: str) -> None:
    with pytest.raises(KairosError, match=f"source frames has no {table}"):
        ingest(source(**{table: []}), lake, now=NOW)


def test_a_bad_file_stops_before_anything_is_replaced(lake: EventLake) -> None:
    with pytest.raises(ContractError, match="no such column"):
        ingest(source(items=[pd.DataFrame({"sku": ["i0"]})]), lake, now=NOW)
    assert lake.manifest() is None
    with pytest.raises(KairosError, match="is empty; run `kairos ingest` first"):
        lake.connect()


def test_two_ingests_do_not_meet(lake: EventLake) -> None:
    with exclusive_lock(lake.lock_path, "the event lake"), pytest.raises(KairosError, match="is in use"):
        ingest(source(), lake, now=NOW)


@pytest.mark.parametrize(
    ("number", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "cannot be written")]
)
def test_disk_trouble_is_one_line_with_the_fix(lake: EventLake, number: int, words: str) -> None:
    ingest(source(), lake, now=NOW)
    broken = source(version="2", users=[OSError(number, "trouble")])
    with pytest.raises(KairosError, match=f"{words}.*KAIROS_HOME") as caught:
        ingest(broken, lake, now=NOW)
    assert "\n" not in str(caught.value)
    assert count(lake, "events") == 10 and not lake.staging.exists()
    with pytest.raises(OSError, match="other"), disk_errors(lake.root):
        raise OSError(errno.EIO, "other")


def test_folders_may_have_odd_names(tmp_path: Path) -> None:
    lake = EventLake(tmp_path / "o'neil's lake [1]")
    ingest(source(users=[]), lake, now=NOW)
    assert count(lake, "events", NOW) == 10
