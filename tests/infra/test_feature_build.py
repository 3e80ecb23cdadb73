"""Feature tables come out the same by whatever path they are built, and a killed build goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from datetime import date, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest
from small_lake import (
    DAYS,
    END,
    START,
    assert_same_rows,
    build,
    fill,
    fresh_rows,
    items,
    random_events,
    rows_of,
    users,
)

from features.tables import FEATURE_TABLES
from infra import feature_parts
from infra.event_lake import EventLake
from infra.feature_manifest import LateEvents, TablesManifest
from infra.feature_tables import FeatureTables

EVENTS = random_events(1)
TWO_DAYS = timedelta(days=2)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> EventLake:
    """The events as they all are in the end; never changed."""
    return fill(EventLake(tmp_path_factory.mktemp("lake"), memory_gb=1.0), EVENTS)


@pytest.fixture(scope="module")
def full(lake: EventLake, tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    return fresh_rows(tmp_path_factory.mktemp("full"), lake, END)


@pytest.fixture
def tables(tmp_path: Path) -> FeatureTables:
    return FeatureTables(tmp_path / "features")


def moment(days: float) -> datetime:
    return START + timedelta(days=days)


def test_every_table_goes_on_from_its_state(lake: EventLake, tables: FeatureTables, tmp_path: Path) -> None:
    build(lake, tables, END - timedelta(days=1), feature_tables=FEATURE_TABLES)
    manifest = build(lake, tables, END, feature_tables=FEATURE_TABLES)
    assert (manifest.mode, manifest.recounted) == ("increment", 1)
    assert len(manifest.snapshots) > 20
    assert_same_rows(
        rows_of(tables), fresh_rows(tmp_path / "fresh", lake, END, feature_tables=FEATURE_TABLES)
    )


@pytest.mark.parametrize("events", [300, 40], ids=["by time", "by time and keys"])
def test_chunks_leave_no_trace(
    lake: EventLake, tables: FeatureTables, full: dict[str, pd.DataFrame], events: int
) -> None:
    seen: list[str] = []
    build(lake, tables, END, chunk_events=events, progress=lambda what, *_: seen.append(what))
    assert len({what.split(":")[0] for what in seen if ".." in what}) > 2
    assert (events == 40) == any(" of 2" in what or " of 3" in what for what in seen)
    assert_same_rows(rows_of(tables), full)


@pytest.mark.parametrize(
    "steps",
    [
        range(2, DAYS + 1),
        (3.2, 3.25, 3.3, 5, 8.021, 8.7, 11.999, 12, DAYS),  # hours, no days at all, minutes off the grid
        (DAYS, 6.52, 6, 9, DAYS),  # a look back, and on from there
    ],
    ids=["daily", "hourly", "back and forth"],
)
def test_steps_leave_no_trace(
    lake: EventLake,
    tables: FeatureTables,
    full: dict[str, pd.DataFrame],
    tmp_path: Path,
    steps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(feature_parts, "MOST_DAILY_FILES", 3)
    for number, days in enumerate(steps):
        manifest = build(lake, tables, moment(days))
        again = days in list(steps)[:number]  # a version that is still there is used as it is
        assert manifest.mode == ("increment" if number and not again else "full"), manifest.reason
        if days in (8.7, 6.52):
            assert_same_rows(rows_of(tables), fresh_rows(tmp_path / f"as of {days}", lake, moment(days)))
    assert max(len(parts) for parts in manifest.tables.values()) <= 7, "many days become few files"
    assert_same_rows(rows_of(tables), full)


def test_a_day_costs_a_day(lake: EventLake, tables: FeatureTables) -> None:
    build(lake, tables, END - timedelta(days=1))
    before = {path.stat().st_ino for path in tables.root.glob("v-*/*/*.parquet")}
    manifest = build(lake, tables, END)
    assert manifest.recounted == 1
    for name, parts in manifest.tables.items():
        if name != "item_store_promotion":
            known = [(tables.current / name / part.file).stat().st_ino in before for part in parts]
            assert known == [True] * (len(parts) - 1) + [False], name
    again = build(lake, tables, END)
    assert again == manifest
    assert tables.manifest() == manifest


class TestLateEvents:
    """Events that come after their day was counted."""

    @pytest.fixture
    def growing(self, tmp_path: Path) -> EventLake:
        """A lake without some events of the fourth day and of the last day but one."""
        self.old = EVENTS.index[EVENTS["event_ts"].between(moment(3), moment(3.9))][:3]
        self.young = EVENTS.index[EVENTS["event_ts"].between(moment(8.2), moment(9))][:4]
        return fill(EventLake(tmp_path / "lake"), EVENTS.drop([*self.old, *self.young]))

    def test_young_ones_are_counted_and_old_ones_said(
        self, growing: EventLake, tables: FeatureTables, lake, tmp_path: Path
    ) -> None:
        build(growing, tables, moment(10))
        fill(growing, EVENTS.sample(frac=1, random_state=3))  # all of them, in no order
        manifest = build(growing, tables, moment(11))
        assert (manifest.mode, manifest.recounted) == ("increment", 3)
        assert manifest.late == LateEvents(3, 1, moment(3).date())
        without = fill(EventLake(tmp_path / "without"), EVENTS.drop(self.old))
        assert_same_rows(rows_of(tables), fresh_rows(tmp_path / "a", without, moment(11)))
        assert build(growing, tables, moment(12)).late.events == 3, "said until somebody counts them"
        backfilled = build(growing, tables, moment(12), recount_from=moment(3).date())
        assert (backfilled.mode, backfilled.recounted) == ("increment", 9)
        assert backfilled.late == LateEvents()
        assert_same_rows(rows_of(tables), fresh_rows(tmp_path / "b", lake, moment(12)))

    def test_a_longer_overlap_counts_them_all(
        self, growing: EventLake, tables: FeatureTables, lake, tmp_path: Path
    ) -> None:
        build(growing, tables, moment(10), late_hours=24 * 8)
        fill(growing, EVENTS)
        assert build(growing, tables, moment(10), late_hours=24 * 8).late == LateEvents()
        assert_same_rows(rows_of(tables), fresh_rows(tmp_path / "fresh", lake, moment(10)))

    def test_withdrawn_ones_go(self, lake, tables: FeatureTables, tmp_path: Path) -> None:
        kept = EVENTS[~(EVENTS["event_ts"].between(moment(8.5), moment(9)) | (EVENTS["user_id"] == "u3"))]
        changing = fill(EventLake(tmp_path / "lake"), EVENTS[EVENTS["user_id"] != "u3"])
        build(changing, tables, moment(10))
        fill(changing, kept)
        assert build(changing, tables, moment(10)).mode == "increment"
        assert_same_rows(rows_of(tables), fresh_rows(tmp_path / "fresh", changing, moment(10)))


class TestAttributes:
    """Zones and categories, which have no history."""

    def test_a_changed_zone_counts_everything_and_says_so(
        self, tables: FeatureTables, tmp_path: Path
    ) -> None:
        changing = fill(EventLake(tmp_path / "lake"), EVENTS)
        build(changing, tables, moment(10))
        moved = users()
        moved.loc[4, "timezone"] = "Asia/Tokyo"
        fill(changing, EVENTS, users=moved)
        manifest = build(changing, tables, moment(11))
        assert manifest.mode == "full"
        assert manifest.reason == "the time zone of user u4 is Asia/Tokyo, was Europe/Berlin"
        assert_same_rows(rows_of(tables), fresh_rows(tmp_path / "fresh", changing, moment(11)))

    def test_one_that_was_only_just_met_costs_a_day(self, tables: FeatureTables, tmp_path: Path) -> None:
        new = EVENTS.index[EVENTS["event_ts"].between(moment(9.5), moment(10))][0]
        events = EVENTS.assign(item_id=EVENTS["item_id"].where(EVENTS.index != new, "brand new"))
        events.loc[new, "event_type"] = "purchase"
        changing = fill(EventLake(tmp_path / "lake"), events)
        build(changing, tables, moment(10))
        told = pd.concat(
            [items(), pd.DataFrame({"item_id": ["brand new"], "category_path": ["food > kind 1"]})]
        )
        fill(changing, events, items=told)
        manifest = build(changing, tables, moment(10))
        assert (manifest.mode, manifest.recounted) == ("increment", 1)
        assert "the category of item brand new is food > kind 1, was unknown" in manifest.reason
        assert_same_rows(rows_of(tables), fresh_rows(tmp_path / "fresh", changing, moment(10)))

    def test_what_decides_nothing_changes_nothing(self, tables: FeatureTables, tmp_path: Path) -> None:
        changing = fill(EventLake(tmp_path / "lake"), EVENTS)
        before = build(changing, tables, moment(10))
        newcomer = pd.DataFrame({"user_id": ["nobody yet"], "timezone": ["Asia/Tokyo"]})
        fill(changing, EVENTS, users=pd.concat([users().assign(locale="de_DE"), newcomer]))
        after = build(changing, tables, moment(10))
        assert (after.fingerprint, after.recounted) == (before.fingerprint, 0)

    def test_other_code_counts_everything(self, lake: EventLake, tables: FeatureTables) -> None:
        build(lake, tables, moment(10))
        manifest = build(lake, tables, moment(11), timezone="Asia/Tokyo")
        assert (manifest.mode, manifest.reason) == ("full", "code or settings changed")


_SLOW_BUILD = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from small_lake import END, build
from infra.event_lake import EventLake
from infra.feature_tables import FeatureTables

def slowly(what, done, total):
    print(what, flush=True)
    time.sleep(float(sys.argv[4]))

tables = FeatureTables(Path(sys.argv[3]))
build(EventLake(Path(sys.argv[2]), memory_gb=1.0), tables, END, chunk_events=300, progress=slowly)
print("done", flush=True)
"""


def test_a_killed_build_goes_on_after_the_last_finished_part(
    lake: EventLake, tables: FeatureTables, full: dict[str, pd.DataFrame], tmp_path: Path
) -> None:
    old = build(lake, tables, moment(4), chunk_events=300)
    command = [sys.executable, "-c", _SLOW_BUILD, Path(__file__).parent, lake.root, tables.root, "0.02"]
    victim = subprocess.Popen([str(part) for part in command], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    while "user_item" not in victim.stdout.readline():
        pass
    time.sleep(0.01)
    os.kill(victim.pid, signal.SIGKILL)
    victim.wait()
    assert tables.manifest() == old, "nobody saw a part of it"
    finished = {path.stat().st_ino: path.stat().st_mtime_ns for path in tables.building.glob("*.parquet")}
    assert len(finished) >= 3
    build(lake, tables, END, chunk_events=300)
    published = {path.stat().st_ino: path.stat().st_mtime_ns for path in tables.current.glob("*/*.parquet")}
    assert len(finished.items() & published.items()) >= 3, "finished parts were kept"
    assert_same_rows(rows_of(tables), full)


@pytest.mark.parametrize("link", ["previous", "current"])
def test_a_crash_while_publishing_leaves_the_old_version(
    lake, tables: FeatureTables, full, monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    from infra import feature_tables

    old = build(lake, tables, moment(10))
    real = feature_tables.point_to

    def crash(path: Path, target: str) -> None:
        if path.name == link:
            raise KeyboardInterrupt
        real(path, target)

    monkeypatch.setattr(feature_tables, "point_to", crash)
    with pytest.raises(KeyboardInterrupt):
        build(lake, tables, END)
    monkeypatch.undo()
    assert tables.manifest() == old
    build(lake, tables, END)
    assert_same_rows(rows_of(tables), full)
    tables.clean()
    assert len(list(tables.root.glob("v-*"))) <= 2


def test_the_manifest_reads_back_as_it_was_written(lake, tables: FeatureTables) -> None:
    manifest = build(lake, tables, moment(10))
    assert TablesManifest.read(tables.current / "manifest.json") == manifest
    newest = manifest.newest["user_activity"]
    assert newest is not None and moment(9) < newest <= moment(10)
    assert manifest.rows["user_activity"] == len(rows_of(tables)["user_activity"])
    assert date.fromisoformat(min(manifest.days)) == START.date()
    taxonomy = tables.read_taxonomy()
    assert taxonomy is not None and set(taxonomy.seen["device"]) == {"ios", "desktop"}
