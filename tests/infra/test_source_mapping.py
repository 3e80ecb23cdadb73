"""A shop's own names, read as the contract's: by files and databases alike, and never written to."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest
import sqlalchemy as sa

from features.errors import ContractError, KairosError, UsageError
from infra.event_lake import EventLake
from infra.ingestion import IngestSummary, ingest
from infra.settings import load_settings
from infra.sources import source_of

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ORDERS = pd.DataFrame(
    {
        "order_no": [9001, 9001, 9002],
        "line": [1, 2, 1],
        "customer": ["c1", "c1", "c2"],
        "sku": ["tea", "cake", "tea"],
        "ordered_at": ["2025-01-01T10:00Z", "2025-01-01T10:00Z", "2025-01-02T11:00Z"],
        "kind": ["order", "order", "wishlist"],
        "user_id": ["not this one"] * 3,
    }
)
ARTICLES = pd.DataFrame({"sku": ["tea", "cake"], "name": ["Green tea", "Carrot cake"]})
TOML = """
[tables]
events = "orders"
items = "articles"

[columns.events]
event_id = ["order_no", "line"]
session_id = "order_no"
user_id = "customer"
item_id = "sku"
event_ts = "ordered_at"
event_type = "kind"

[columns.items]
item_id = "sku"
title = "name"

[constants.events]
channel = "web"

[event_types]
order = "purchase"
wishlist = "view"
"""
READ = [
    ("9001:1", "9001", "c1", "tea", "purchase", "web"),
    ("9001:2", "9001", "c1", "cake", "purchase", "web"),
    ("9002:1", "9002", "c2", "tea", "view", "web"),
]


@pytest.fixture(autouse=True)
def shop_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the shop's `kairos.toml`."""
    monkeypatch.chdir(tmp_path)
    Path("kairos.toml").write_text(TOML)
    return tmp_path


def ingested(spec: str) -> tuple[EventLake, IngestSummary]:
    lake = EventLake(Path("lake").absolute(), memory_gb=0.5)
    return lake, ingest(source_of(load_settings(), spec), lake, now=NOW)


def expect_read(lake: EventLake) -> None:
    connection = lake.connect()
    query = "SELECT event_id, session_id, user_id, item_id, event_type, channel FROM events ORDER BY 1"
    assert connection.execute(query).fetchall() == READ
    titles = connection.execute("SELECT item_id, title FROM items ORDER BY 1").fetchall()
    assert titles == [("cake", "Carrot cake"), ("tea", "Green tea")]


def write_shop(suffix: str, orders: pd.DataFrame = ORDERS) -> str:
    Path("shop").mkdir(exist_ok=True)
    for name, frame in {"orders": orders, "articles": ARTICLES}.items():
        path = Path("shop") / f"{name}.{suffix}"
        _ = frame.to_csv(path, index=False) if suffix == "csv" else frame.to_parquet(path, index=False)
    return "parquet:shop"


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_files_are_read_by_their_own_names(suffix: str) -> None:
    lake, summary = ingested(write_shop(suffix))
    expect_read(lake)
    assert "table orders" in summary.manifest.notes[0] and "customer as user_id" in summary.manifest.notes[0]
    assert not ingested("parquet:shop")[1].changed


def test_a_changed_mapping_reads_unchanged_files_again() -> None:
    spec = write_shop("csv")
    ingested(spec)
    Path("kairos.toml").write_text(TOML.replace('"web"', '"app"'))
    lake, summary = ingested(spec)
    assert summary.changed
    assert lake.connect().execute("SELECT DISTINCT channel FROM events").fetchall() == [("app",)]


def test_a_database_is_read_by_its_own_names_in_any_schema(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA IF EXISTS mapped CASCADE; CREATE SCHEMA mapped"))
        ORDERS.to_sql("orders", connection, schema="mapped", index=False)
        ARTICLES.to_sql("articles", connection, schema="mapped", index=False)
    engine.dispose()
    text = TOML.replace('"orders"', '"mapped.orders"').replace('"articles"', '"mapped.articles"')
    Path("kairos.toml").write_text(text)
    lake, _ = ingested(f"sql:{postgres_url}")
    expect_read(lake)


def test_even_a_view_that_writes_cannot(postgres_url: str) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(
            sa.text(
                """
                DROP SCHEMA IF EXISTS sly CASCADE;
                CREATE SCHEMA sly;
                CREATE TABLE sly.looked (n int);
                CREATE FUNCTION sly.look() RETURNS text LANGUAGE plpgsql VOLATILE AS
                    $$ BEGIN INSERT INTO sly.looked VALUES (1); RETURN 'e1'; END $$;
                CREATE VIEW sly.events AS SELECT sly.look() AS event_id, 'u' AS user_id,
                    'app_open' AS event_type, now() AS event_ts;
                CREATE TABLE sly.items AS SELECT 'i' AS item_id;
                """
            )
        )
    Path("kairos.toml").write_text("")
    separator = "&" if "?" in postgres_url else "?"
    with pytest.raises(KairosError, match="read-only transaction"):
        ingested(f"sql:{postgres_url}{separator}options=-csearch_path%3Dsly")
    with engine.begin() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM sly.looked")).scalar() == 0
    engine.dispose()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"customer"', '"custmer"', "[columns.events] user_id = 'custmer': found no such column in orders"),
        ('"customer"', '"custmer"', "did you mean 'customer'?"),
        ('event_ts = "ordered_at"', 'event_ts = "sku"', "events.event_ts (read from sku by [columns.events]"),
    ],
)
def test_a_wrong_column_names_mapping_found_and_expected(old: str, new: str, words: str) -> None:
    spec = write_shop("csv")
    Path("kairos.toml").write_text(TOML.replace(old, new))
    with pytest.raises(ContractError) as caught:
        ingested(spec)
    assert words in str(caught.value) and "expected" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tables]\norders = 'x'", "names no table of ours, must be one of events, users, items, promotions"),
        ("[columns.events]\nuserid = 'x'", "userid is no column of events; did you mean user_id?"),
        ("[columns.events]\nuser_id = 7", "[columns.events] user_id is 7, must be a name in quotes"),
        ("[columns.events]\nevent_id = []", "is an empty list"),
        ("[constants.events]\nevent_type = 'order'", "must be one of app_open, search"),
        ("[event_types]\norder = 'bought'", "[event_types] order is 'bought', must be one of app_open"),
        ("columns = 'x'", "kairos.toml: columns: is no JSON; write it as tables in kairos.toml"),
    ],
)
def test_a_wrong_mapping_is_one_line_before_anything_is_read(text: str, words: str) -> None:
    Path("kairos.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        load_settings()
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_mapping_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAIROS_COLUMNS", '{"users": {"push_consent": "opted_in"}}')
    assert load_settings().mapping.columns_of("users") == {"push_consent": ("opted_in",)}
