"""Materialising step by step: what is counted, what goes online, what a kill leaves, what people are told."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from small_market import AS_OF, market_settings

from features.errors import RefusedError, UsageError

MOMENT = datetime.combine(AS_OF, time(), UTC)
ONE_DAY = timedelta(days=1)
VIEWS = ("user_activity", "user_item", "item_windows", "store_activity", "item_store_promotion")


@dataclass
class Shop:
    """A home of its own, from a source that may change."""

    market: Path
    stores: Any
    events: pd.DataFrame

    def tell(self, events: pd.DataFrame) -> None:
        """Nothing; the lake holds these events."""
        from infra.ingestion import ingest
        from infra.sources import open_source

        events.to_parquet(self.market / "events" / "part-0.parquet", index=False)
        ingest(open_source(self.stores.settings.source), self.stores.lake, now=MOMENT + 9 * ONE_DAY)

    def online(self, name: str) -> pd.DataFrame:
        """The rows of an online table, in order."""
        columns, rows = self.stores.database.read_only(f"SELECT * FROM kairos_online.{name}")
        frame = pd.DataFrame(rows, columns=columns).drop(columns="created_timestamp", errors="ignore")
        return frame.sort_values(list(frame.columns[:2]), ignore_index=True)

    def newest(self, name: str) -> pd.DataFrame:
        """The newest valid row of each key by the table's files."""
        from features.tables import FEATURE_TABLES

        table = next(table for table in FEATURE_TABLES if table.name == name)
        manifest = self.stores.features.tables.manifest()
        rows = pd.concat([pd.read_parquet(path) for path in self.stores.features.tables.files(name)])
        since = manifest.as_of - timedelta(days=table.ttl_days or 10_000)
        rows = rows[rows["event_timestamp"].between(since, manifest.as_of)]
        rows = rows.sort_values("event_timestamp").drop_duplicates(list(table.keys), keep="last")
        return rows.sort_values(list(table.keys), ignore_index=True)

    def assert_online_follows(self) -> None:
        """Passes when the online tables hold exactly the newest rows of the files."""
        for name in VIEWS:
            newest = self.newest(name)
            online = self.online(name)[newest.columns.tolist()]
            keys = list(newest.columns[: list(newest.columns).index("event_timestamp")])
            online = online.sort_values(keys, ignore_index=True)
            online["event_timestamp"] = pd.to_datetime(online["event_timestamp"], utc=True)
            pd.testing.assert_frame_equal(
                online.astype({"event_timestamp": "datetime64[us, UTC]"}),
                newest.astype({"event_timestamp": "datetime64[us, UTC]"}),
                check_dtype=False,
                obj=name,
            )

    def mark(self, flow: str) -> Any:
        from infra.watermarks import read_watermark

        return read_watermark(self.stores.database, flow)


@pytest.fixture(scope="module")
def shop(
    small_market: Path, prefect_server: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    from flows.wiring import open_stores
    from infra.embedded_postgres import release_embedded
    from infra.settings import load_settings

    root = tmp_path_factory.mktemp("shop")
    market, home = root / "market", root / "home"
    shutil.copytree(small_market, market)
    with pytest.MonkeyPatch.context() as environment:
        for name, value in market_settings(home, market).items():
            environment.setenv(name, value)
        events = pd.read_parquet(market / "events" / "part-0.parquet")
        shop = Shop(market, open_stores(load_settings()), events)
        shop.tell(events)
        yield shop
        release_embedded(home)


@pytest.fixture
def said(shop: Shop) -> Iterator[list[str]]:
    """The last note of every step."""
    from flows import progress

    notes: list[str] = []

    class Watcher:
        def started(self, step: progress.Step) -> None: ...
        def changed(self, step: progress.Step) -> None: ...
        def ended(self, step: progress.Step, seconds: float, failed: bool) -> None:
            notes.append(step.note)

    token = progress._listener.set(Watcher())
    yield notes
    progress._listener.reset(token)


def test_a_day_later_only_a_day_is_counted_and_only_changes_go_online(shop: Shop, said: list[str]) -> None:
    from flows.materialize import materialize

    materialize(as_of=MOMENT - ONE_DAY)
    assert "all 83 days counted (first build)" in said[-1]
    shop.assert_online_follows()
    mark = shop.mark("online")
    assert mark.value == MOMENT - ONE_DAY or MOMENT - 2 * ONE_DAY < mark.value < MOMENT - ONE_DAY
    fingerprint = materialize(as_of=MOMENT)
    assert "1 day counted (the cut-off moved)" in said[-1]
    manifest = shop.stores.features.tables.manifest()
    online = int(said[-1].partition(" rows to the online store")[0].rpartition(" ")[2].replace(",", ""))
    assert 0 < online < sum(manifest.rows.values()) / 4
    shop.assert_online_follows()
    assert shop.mark("materialize").value == MOMENT
    assert shop.mark("materialize").fingerprint == fingerprint
    assert shop.mark("online").fingerprint == manifest.fingerprint
    assert materialize(as_of=MOMENT) == fingerprint
    assert said[-1].startswith("unchanged")
    shop.stores.features.apply()  # Feast's own bookkeeping is not ours
    assert materialize(as_of=MOMENT) == fingerprint and said[-1].startswith("unchanged")


def test_a_kill_between_files_and_online_store_heals(shop: Shop) -> None:
    from flows.feature_versions import plan_features
    from flows.materialize import materialize
    from infra.feature_build import build_tables

    materialize(as_of=MOMENT - timedelta(hours=30))
    materialize(as_of=MOMENT)
    held = shop.mark("online").fingerprint
    later = MOMENT + timedelta(hours=6)
    stores = shop.stores
    manifest = build_tables(plan_features(stores, later), stores.lake, stores.features.tables)
    assert shop.mark("online").fingerprint == held != manifest.fingerprint
    materialize(as_of=later)
    assert shop.mark("online").fingerprint == manifest.fingerprint
    shop.assert_online_follows()


def test_who_vanishes_from_the_events_vanishes_online(shop: Shop) -> None:
    from flows.materialize import materialize

    user = shop.events["user_id"].iloc[0]
    last = shop.events["event_ts"] >= pd.Timestamp(MOMENT - ONE_DAY)
    newcomer = shop.events[last].head(3).assign(user_id="newcomer", session_id="n1")
    newcomer["event_id"] = [f"n{number}" for number in range(3)]
    newcomer["event_ts"] = pd.Timestamp(MOMENT - timedelta(hours=3))
    again = newcomer.assign(user_id=user, session_id="n2", event_id=["m0", "m1", "m2"])
    shop.tell(pd.concat([shop.events, newcomer, again]))
    materialize(as_of=MOMENT)
    shop.assert_online_follows()
    known = shop.online("user_activity").set_index("user_id")
    assert "newcomer" in known.index
    shop.tell(shop.events)
    materialize(as_of=MOMENT)
    shop.assert_online_follows()
    now = shop.online("user_activity").set_index("user_id")
    assert "newcomer" not in now.index, "forgotten"
    assert now.loc[user, "event_timestamp"] < known.loc[user, "event_timestamp"], "set back"


def test_a_look_back_leaves_the_online_store_alone(shop: Shop) -> None:
    from flows.materialize import materialize

    materialize(as_of=MOMENT)
    before = shop.online("user_activity"), shop.mark("online")
    materialize(as_of=MOMENT - timedelta(days=20, hours=5))
    assert shop.stores.features.tables.manifest().as_of == MOMENT - timedelta(days=20, hours=5)
    pd.testing.assert_frame_equal(shop.online("user_activity"), before[0])
    assert shop.mark("online") == before[1]
    assert shop.mark("materialize").value >= MOMENT, "a watermark never goes back"
    materialize(as_of=MOMENT)
    shop.assert_online_follows()


def test_late_events_are_said_until_a_backfill_counts_them(shop: Shop, said: list[str]) -> None:
    from flows.backfill import backfill
    from flows.feature_versions import features_fingerprint
    from flows.materialize import materialize

    before = materialize(as_of=MOMENT)
    day = AS_OF - timedelta(days=40)
    late = shop.events.head(2).assign(event_id=["late0", "late1"], session_id="late")
    late["event_ts"] = pd.Timestamp(datetime.combine(day, time(12), UTC))
    shop.tell(pd.concat([shop.events, late]))
    words = f"2 late events on 1 day are left out; kairos backfill --from {day} counts them"
    assert materialize(as_of=MOMENT) == before, "what is not counted makes no other features"
    assert words in said[-1]
    materialize(as_of=MOMENT)
    assert words in said[-1], "said again"
    after = backfill(start=day, end=day)
    assert f"days after {day} up to {AS_OF - ONE_DAY} are counted too" in " ".join(said)
    assert "40 days counted (asked for)" in said[-1] and "left out" not in said[-1], said
    assert after == features_fingerprint(shop.stores, MOMENT) != before
    shop.assert_online_follows()
    with pytest.raises(UsageError, match="swap them"):
        backfill(start=day, end=day - ONE_DAY)
    with pytest.raises(UsageError, match="the last day that is counted"):
        backfill(start=AS_OF)
    shop.tell(shop.events)
    backfill(start=day)
    assert features_fingerprint(shop.stores, MOMENT) == before


def test_old_features_are_not_scored_with(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from flows.freshness import require_fresh, view_freshness
    from flows.materialize import materialize
    from flows.state import read_state, state_rows

    materialize(as_of=MOMENT)
    require_fresh(shop.stores, MOMENT)
    later = MOMENT + 4 * ONE_DAY
    materialize(as_of=later)
    with pytest.raises(RefusedError) as refused:
        require_fresh(shop.stores, later)
    assert refused.value.exit_code == 3
    for part in ("feature view ", "hours old as of 2024-03-29", "must be at most 72", "kairos materialize"):
        assert part in str(refused.value)
    lenient = replace(
        shop.stores, settings=shop.stores.settings.model_copy(update={"max_feature_age_hours": 200.0})
    )
    require_fresh(lenient, later)
    state = read_state(shop.stores)
    view = state["features"]["views"]["user_activity"]
    assert view["too_old"] and view["limit_hours"] == 72 and 96 < view["age_hours"] < 130
    assert "too old to score" in dict(state_rows(state))["features"]
    silent = view_freshness({}, later)
    assert all(view.age_hours is None for view in silent)
    assert [view.view for view in silent if view.too_old], "no row at all is no fresh row"
    materialize(as_of=MOMENT)


def test_scoring_asks_how_old_features_are(first_cycle, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import score

    def refuse(stores: Any, as_of: datetime) -> None:
        raise RefusedError(f"too old as of {as_of}")

    monkeypatch.setattr(score, "require_fresh", refuse)
    with pytest.raises(RefusedError, match=f"too old as of {AS_OF}"):
        score.score(as_of=MOMENT)


def test_the_page_tells_what_was_counted(shop: Shop) -> None:
    from flows.materialize import materialize, tables_markdown

    materialize(as_of=MOMENT)
    page = tables_markdown(shop.stores.features.tables.manifest(), 12)
    assert "12 rows to the online store" in page and " counted (" in page
    assert "| user_item | user_id x item_id |" in page
