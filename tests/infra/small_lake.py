"""A small lake with everything that makes counting hard, and its tables built by any path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from features.source_mapping import SourceMapping
from features.table import FeatureTable
from features.tables import FEATURE_TABLES
from infra.event_lake import EventLake
from infra.feature_build import Progress, build_tables
from infra.feature_manifest import TablesManifest
from infra.feature_plan import BuildOptions, plan_build
from infra.feature_tables import FeatureTables
from infra.ingestion import ingest

START = datetime(2025, 3, 20, tzinfo=UTC)
DAYS = 14
END = START + timedelta(days=DAYS)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONES = ("Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Europe/Berlin", "UTC")
TYPES = ("view", "view", "purchase", "add_to_cart", "push_sent", "push_opened", "push_dismissed", "search")
USERS, ITEMS = 12, 9
SOME = tuple(
    table
    for table in FEATURE_TABLES
    if table.name
    in (
        *(
            "market_activity",
            "user_activity",
            "item_popularity",
            "item_windows",
            "store_windows",
            "user_item",
        ),
        *("category_daypart", "user_push_opened_daypart", "item_store_promotion"),
    )
)
"""Tables of every kind: few and many keys, windows, recency, decays, pushes, and one built as a whole."""


class Frames:
    """A source of frames in memory."""

    name = "frames"
    default_timezone = "UTC"
    mapping = SourceMapping()

    def __init__(self, **tables: pd.DataFrame) -> None:
        self.tables = tables

    def fingerprint(self) -> str:
        return ""

    def notes(self) -> tuple[str, ...]:
        return ()

    def read(self, table: str) -> Iterator[pd.DataFrame]:
        if table in self.tables:
            yield self.tables[table]


def random_events(seed: int, count: int = 900, days: int = DAYS) -> pd.DataFrame:
    """Events of some weeks: sessions over midnight, on the quarter of an hour, and none on one whole day."""
    rng = np.random.default_rng(seed)
    seconds = rng.integers(0, days * 86_400, count)
    seconds = np.where(rng.random(count) < 0.2, seconds // 900 * 900, seconds)
    seconds = seconds[(seconds // 86_400) != days - 4]
    count = len(seconds)
    user = rng.integers(0, USERS, count)
    return pd.DataFrame(
        {
            "event_id": [f"e{n}" for n in range(count)],
            "user_id": [f"u{n}" for n in user],
            "item_id": [f"i{n}" if n < ITEMS else None for n in rng.zipf(1.3, count) % (ITEMS + 1)],
            "event_type": rng.choice(TYPES, count),
            "event_ts": pd.to_datetime(START) + pd.to_timedelta(seconds, unit="s"),
            "quantity": rng.integers(0, 4, count).astype(float),
            "amount": rng.integers(1, 900, count) / 100.0,
            # Sessions of up to a day and a half, so that some are open at every midnight.
            "session_id": [f"s{u}-{s // 130_000}" for u, s in zip(user, seconds, strict=True)],
            "store_id": rng.choice(["store1", "store2", "unknown"], count),
            "region": rng.choice(["north", "south", "unknown"], count),
            "device": rng.choice(["ios", "desktop", "unknown"], count),
            "network": rng.choice(["wifi", "4g", "unknown"], count),
            "channel": rng.choice(["app", "web"], count),
            "weather": rng.choice(["rain", "sun"], count),
        }
    )


def users() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": [f"u{n}" for n in range(USERS)],
            "timezone": [ZONES[n % len(ZONES)] for n in range(USERS)],
            "signup_ts": [START + timedelta(days=n) for n in range(USERS)],
        }
    )


def items() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": [f"i{n}" for n in range(ITEMS)],
            "category_path": [f"food > kind {n % 3}" for n in range(ITEMS)],
        }
    )


def promotions() -> pd.DataFrame:
    starts = [START + timedelta(days=n) for n in range(DAYS)]
    return pd.DataFrame(
        {
            "promotion_id": [f"p{n}" for n in range(DAYS)],
            "item_id": [f"i{n % ITEMS}" for n in range(DAYS)],
            "store_id": "store1",
            "starts_at": starts,
            "ends_at": [start + timedelta(days=3) for start in starts],
            "kind": "display",
        }
    )


def fill(lake: EventLake, events: pd.DataFrame, **others: pd.DataFrame) -> EventLake:
    """The lake, which now holds these events and the other tables."""
    tables = {"users": users(), "items": items(), "promotions": promotions()} | others
    ingest(Frames(events=events, **tables), lake, now=NOW, max_quarantine_share=1.0)
    return lake


def build(
    lake: EventLake,
    tables: FeatureTables,
    as_of: datetime,
    *,
    recount_from: date | None = None,
    feature_tables: Sequence[FeatureTable] = SOME,
    progress: Progress | None = None,
    **options: Any,
) -> TablesManifest:
    """The tables' manifest after a build as of a moment."""
    plan = plan_build(lake, tables, as_of, BuildOptions("code", **options), recount_from=recount_from)
    return build_tables(plan, lake, tables, feature_tables=feature_tables, progress=progress)


def rows_of(tables: FeatureTables) -> dict[str, pd.DataFrame]:
    """Every table's rows, in order."""
    manifest = tables.manifest()
    assert manifest is not None
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    found = {}
    for table in FEATURE_TABLES:
        if table.name in manifest.tables:
            order = ", ".join((*table.keys, "event_timestamp"))
            files = [str(path) for path in tables.files(table.name)]
            rows = connection.execute(f"SELECT * FROM read_parquet(?) ORDER BY {order}", [files])
            found[table.name] = rows.df()
    return found


def assert_same_rows(one: dict[str, pd.DataFrame], other: dict[str, pd.DataFrame]) -> None:
    """Every value is the same to the bit, decayed counts to 1e-12 of their size."""
    assert one.keys() == other.keys()
    for name in one:
        decayed = [column for column in one[name].columns if "_decayed_" in column]
        exact = [column for column in one[name].columns if column not in decayed]
        pd.testing.assert_frame_equal(one[name][exact], other[name][exact], check_exact=True, obj=name)
        pd.testing.assert_frame_equal(one[name][decayed], other[name][decayed], rtol=1e-12, atol=0, obj=name)


def fresh_rows(root: Path, lake: EventLake, as_of: datetime, **options: Any) -> dict[str, pd.DataFrame]:
    """The rows of a build from nothing."""
    tables = FeatureTables(root)
    assert build(lake, tables, as_of, **options).mode == "full"
    return rows_of(tables)
