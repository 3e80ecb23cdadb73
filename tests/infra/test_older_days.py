"""An ingest that begins where the last one ended leaves the lake that a whole one would."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from features.source_mapping import SourceMapping
from infra.event_lake import EventLake
from infra.ingestion import IngestSummary, ingest
from infra.sources import open_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)
OVERLAP = timedelta(hours=24)
Shop = tuple[str, Callable[[str], None]]


@pytest.fixture(params=["timestamptz", "timestamp"])
def shop(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Shop]:
    """(source, what runs SQL in it) with ten days of two events each."""
    engine = sa.create_engine(postgres_url)

    def run(statement: str) -> None:
        with engine.begin() as connection:
            connection.execute(sa.text(statement.replace(":", "\\:")))

    run(
        f"""
        DROP SCHEMA IF EXISTS timed CASCADE;
        CREATE SCHEMA timed;
        CREATE TABLE timed.items AS SELECT 'tea' AS item_id;
        CREATE TABLE timed.events AS
        SELECT 'e' || n AS event_id, 'u' || n % 3 AS user_id, 'tea' AS item_id, 'purchase' AS event_type,
               (timestamp '2025-03-01' + n * interval '12 hours')::{request.param} AS event_ts
        FROM generate_series(0, 19) AS n;
        """
    )
    separator = "&" if "?" in postgres_url else "?"
    yield f"sql:{postgres_url}{separator}options=-csearch_path%3Dtimed%20-ctimezone%3DUTC", run
    run("DROP SCHEMA timed CASCADE")
    engine.dispose()


def read(lake: EventLake, spec: str, overlap: timedelta | None = OVERLAP, zone: str = "UTC") -> IngestSummary:
    return ingest(open_source(spec, default_timezone=zone), lake, now=NOW, overlap=overlap)


def lake_in(folder: Path) -> EventLake:
    return EventLake(folder, memory_gb=0.5)


def test_only_the_last_days_are_read_and_the_lake_is_that_of_a_whole_read(shop: Shop, tmp_path: Path) -> None:
    spec, run = shop
    lake = lake_in(tmp_path / "lake")
    assert read(lake, spec).accepted["events"] == 20  # nothing to go on from
    run("INSERT INTO timed.events VALUES ('new', 'u9', 'tea', 'purchase', '2025-03-11 08:00')")
    run("INSERT INTO timed.events VALUES ('late', 'u1', 'tea', 'purchase', '2025-03-09 23:00')")
    run("UPDATE timed.events SET item_id = NULL WHERE event_id = 'e0'")  # would go to quarantine, if read
    second = read(lake, spec)
    assert second.accepted["events"] == 22 and second.quarantined["events"] == {}
    run("UPDATE timed.events SET item_id = 'tea' WHERE event_id = 'e0'")
    whole = read(lake_in(tmp_path / "whole"), spec, overlap=None)
    assert second.manifest.fingerprint == whole.manifest.fingerprint
    assert second.manifest.days == whole.manifest.days
    assert second.manifest.tables == whole.manifest.tables
    assert not read(lake, spec).changed


def test_what_was_deleted_long_ago_is_noticed_by_a_whole_read(shop: Shop, tmp_path: Path) -> None:
    spec, run = shop
    lake = lake_in(tmp_path / "lake")
    read(lake, spec)
    run("DELETE FROM timed.events WHERE event_id IN ('e0', 'e19')")
    assert read(lake, spec).accepted["events"] == 19
    assert read(lake, spec, overlap=None).accepted["events"] == 18


def test_days_that_were_read_otherwise_are_read_again(shop: Shop, tmp_path: Path) -> None:
    spec, run = shop
    lake = lake_in(tmp_path / "lake")
    read(lake, spec)
    run("DELETE FROM timed.events WHERE event_id = 'e0'")
    assert read(lake, spec).accepted["events"] == 20
    assert read(lake, spec, zone="Europe/Oslo").accepted["events"] == 19
    mapped = open_source(
        spec,
        default_timezone="Europe/Oslo",
        mapping=SourceMapping(constants=(("events", "channel", "web"),)),
    )
    run("DELETE FROM timed.events WHERE event_id = 'e1'")
    assert ingest(mapped, lake, now=NOW, overlap=OVERLAP).accepted["events"] == 18


def test_times_that_are_text_are_read_whole(tmp_path: Path) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'shop.db'}")
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE items (item_id text)"))
        connection.execute(sa.text("INSERT INTO items VALUES ('tea')"))
        connection.execute(
            sa.text("CREATE TABLE events (event_id text, user_id text, event_type text, event_ts text)")
        )
        connection.execute(
            sa.text(
                "INSERT INTO events VALUES ('e1', 'u', 'app_open', '2025-03-01'), "
                "('e2', 'u', 'app_open', '2025-03-09')"
            )
        )
    lake, spec = lake_in(tmp_path / "lake"), f"sql:sqlite:///{tmp_path / 'shop.db'}"
    read(lake, spec)
    with engine.begin() as connection:
        connection.execute(sa.text("DELETE FROM events WHERE event_id = 'e1'"))
    engine.dispose()
    assert read(lake, spec).accepted["events"] == 1
