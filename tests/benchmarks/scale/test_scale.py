"""The features benchmark itself, on a market of a few thousand events: what it compares must be equal."""

from __future__ import annotations

from pathlib import Path

import duckdb
import ibis
import pandas as pd
import pytest

from features.calendar import known_timezones
from features.contracts import CONTRACTS
from features.tables import FEATURE_TABLES
from infra.event_lake import EventLake
from infra.feature_build import build_tables
from infra.feature_plan import BuildOptions, plan_build
from infra.feature_tables import FeatureTables
from infra.lake_files import digest_tree
from tests.benchmarks.scale import build, pit, pit_data
from tests.benchmarks.scale.features_report import PARTS, growth_table, read_plan, summary, verdict_table
from tests.benchmarks.scale.features_sql import write_tables
from tests.benchmarks.scale.stages import Result
from tests.benchmarks.scale.synthetic import FIRST_DAY, ZONES, Market, end_of, put_days, write_days

MARKET = Market(events=12_000, users=150, items=60, days=9)
EVERY_KIND = (
    *("market_activity", "user_activity", "item_windows", "user_category", "category_device"),
    *("item_store", "user_push_opened_daypart"),
)


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("market")
    assert write_days(MARKET, folder) == pytest.approx(MARKET.events, rel=0.2)
    return folder


def test_same_seed_same_market(days: Path, tmp_path: Path) -> None:
    write_days(MARKET, tmp_path / "again")
    write_days(Market(**vars(MARKET) | {"seed": 8}), tmp_path / "other")
    assert digest_tree(tmp_path / "again") == digest_tree(days)
    assert digest_tree(tmp_path / "other") != digest_tree(days)


def test_an_ingest_would_accept_every_row(days: Path) -> None:
    assert set(ZONES) <= known_timezones()
    now = pd.Timestamp("2026-01-01T00:00Z").to_pydatetime()
    for name, contract in CONTRACTS.items():
        files = days / "events" / f"day={FIRST_DAY}" if name == "events" else days / f"{name}.parquet"
        columns = [column.name for column in contract.columns if column.expected]
        frame = pd.read_parquet(files, columns=columns)
        split = contract.split(frame, now=now)
        assert (len(split.accepted), len(split.quarantined)) == (len(frame), 0)


def test_days_lie_as_an_ingest_leaves_them(days: Path) -> None:
    parts = sorted((days / "events").glob("*/*.parquet"))
    assert len(parts) == MARKET.days
    events = pd.concat(
        [pd.read_parquet(path).assign(utc_day=path.parent.name.removeprefix("day=")) for path in parts]
    )
    assert events["event_id"].is_unique
    assert (events["event_ts"].dt.strftime("%Y-%m-%d") == events["utc_day"]).all()
    assert events["event_ts"].is_monotonic_increasing
    assert (events.groupby("session_id")["utc_day"].nunique() > 1).any(), "some sessions pass midnight"


def test_late_events_come_with_a_later_day(days: Path, tmp_path: Path) -> None:
    lake = EventLake(tmp_path / "lake")
    early = put_days(lake, days, 8, {7: 0.5})
    late = put_days(lake, days, 9)
    assert early.fingerprint != late.fingerprint
    with lake.connect() as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchall()[0][0] == (
            late.tables["events"].accepted
        )
    day = str(FIRST_DAY.replace(day=FIRST_DAY.day + 7))
    held = lake.manifest()
    assert held is not None and held.days[day].events > early.tables["events"].accepted / 16


def test_every_join_gives_the_same(days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ibis.options, "default_backend", None)  # which the stock contender sets
    written = pit_data.write_views(str(days), str(tmp_path), 300, 1.0)
    assert min(written.values()) > 0 and len(pit_data.FEATURES) == 38
    pit.register(str(tmp_path))
    saved = {}
    for contender in (pit.ours, pit.by_hand, pit.stock):
        saved[contender] = str(tmp_path / f"{contender.__name__}.arrow")
        contender(str(tmp_path), saved[contender], 1.0)
    for other in (pit.by_hand, pit.stock):
        assert pit.compare(saved[pit.ours], saved[other]) == {"cells": 300 * 41, "differences": 0}
    frame = pd.read_feather(saved[pit.ours])
    assert frame["item_lines"].notna().any() and frame["item_lines"].isna().any()


def test_full_build_increment_and_sql_agree(
    days: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [table for table in FEATURE_TABLES if table.name in EVERY_KIND]
    monkeypatch.setattr(build, "COUNTED", tables)
    lake, stored = EventLake(tmp_path / "lake"), FeatureTables(tmp_path / "ours")
    for number in (7, 8, 9):
        put_days(lake, days, number, {number - 1: 0.2} if number < 9 else {})
        plan = plan_build(lake, stored, end_of(number), BuildOptions(code="test"))
        assert plan.mode == ("full" if number == 7 else "increment")
        build_tables(plan, lake, stored, feature_tables=tables)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        rows = write_tables(
            connection, (lake.root / "current").resolve(), tables, tmp_path / "sql", end_of(9)
        )
    assert min(rows.values()) > 0 and set(rows) == set(EVERY_KIND)
    found = build.compare(str(tmp_path / "ours"), str(tmp_path / "sql"), 1.0)
    assert (found["rows"], found["where"]) == (sum(rows.values()), {})
    with duckdb.connect() as connection:
        path = tmp_path / "sql" / "user_activity.parquet"
        spoilt = f"SELECT * REPLACE (user_sessions + 0.1 AS user_sessions) FROM '{path}'"
        connection.execute(f"COPY ({spoilt}) TO '{path}.spoilt' (FORMAT parquet)")
    (tmp_path / "sql" / "user_activity.parquet.spoilt").replace(path)
    found = build.compare(str(tmp_path / "ours"), str(tmp_path / "sql"), 1.0)
    assert found["where"] == {"user_activity": rows["user_activity"]}


def test_verdicts_are_of_the_largest_size_and_mismatches_of_all() -> None:
    plan = read_plan(["--sizes", "6,2"])
    assert plan.sizes == (2.0, 6.0) and plan.parts == PARTS
    joined = {"ours_seconds": 1.0, "asof_seconds": 1.0, "ratio_vs_asof": 1.0}
    feast = {"speedup_vs_feast": 9.0, "memory_vs_feast": 0.1, "feast_seconds": 9.0}
    found = {
        "pit": {
            2.0: Result(joined | feast | {"mismatches": 3}),
            6.0: Result(joined | {"ratio_vs_asof": 1.5, "mismatches": 0}, ["stock: stopped at 20 GB"]),
        },
        "build": {},
        "online": {},
    }
    result = summary(plan, found)
    assert (result["pit_ratio_vs_asof"], result["pit_speedup_vs_feast"]) == (1.5, 9.0)
    assert result["mismatches"] == 3 and any("did not survive" in note for note in result["notes"])
    assert result["verdicts"] == {
        "pit_ratio_vs_asof": False,
        "pit_speedup_vs_feast": True,
        "pit_memory_vs_feast": True,
        "mismatches": False,
    }
    assert verdict_table(result).row_count >= 4 and growth_table(plan, found).row_count == 3
