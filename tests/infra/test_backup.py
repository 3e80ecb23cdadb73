"""A backup put back is what was there: rows, files and links; and nothing is lost on the way."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from plans import PLAN_DATE, PUBLICATION, small_plan
from sqlalchemy import make_url

from features.errors import KairosError, RefusedError, UsageError
from infra.alert_rows import NewAlert
from infra.alert_store import AlertStore
from infra.backup import table_rows, write_backup
from infra.database import Database, connect, known_revisions
from infra.event_lake import EventLake
from infra.ingestion import ingest
from infra.plan_store import PlanStore
from infra.restore import restore_backup
from infra.restore_journal import read_journal, require_no_restore
from infra.sources import open_source

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def new_database(postgres_url: str) -> Iterator[Callable[[], Database]]:
    """Makes databases of their own on the session's server."""
    administrator, opened = connect(postgres_url), []

    def make() -> Database:
        name = f"backup_{uuid.uuid4().hex[:12]}"
        with administrator.session() as session:
            session.execute(f"CREATE DATABASE {name}")
        opened.append(connect(make_url(postgres_url).set(database=name).render_as_string(False)))
        return opened[-1]

    yield make
    for database in opened:
        name = database.engine.url.database
        database.close()
        with administrator.session() as session:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")
    administrator.close()


@pytest.fixture
def filled(tmp_path: Path, new_database: Callable[[], Database]) -> tuple[Database, Path]:
    """A database with a published plan and an alert, and a home with a lake."""
    database, home = new_database(), tmp_path / "home"
    database.migrate()
    PlanStore(database).publish(small_plan(), **PUBLICATION)
    AlertStore(database).raise_alert(
        NewAlert("drift", "drift", "", "error", "models", "Drift", "drift.md", {"of": "amount"}), NOW
    )
    shop = tmp_path / "shop"
    shop.mkdir()
    (shop / "items.csv").write_text("item_id\ntea\n")
    (shop / "events.csv").write_text(
        "event_id,user_id,item_id,event_type,event_ts\n1,u,tea,purchase,2025-01-01T10:00Z\n"
    )
    ingest(open_source(f"parquet:{shop}"), EventLake(home / "lake", memory_gb=0.5), now=NOW)
    (home / "models" / "v1").mkdir(parents=True)
    (home / "models" / "v1" / "ranker.txt").write_text("trees")
    (home / "writing.lock").touch()
    return database, home


def everything(database: Database, home: Path) -> tuple[dict[str, str], dict[str, bytes]]:
    """Digest of every table's rows, and every kept file's content."""
    with database.session() as session:
        rows = {
            table: session.execute(
                f"SELECT md5(string_agg(r::text, '|' ORDER BY r::text)) FROM kairos.{table} AS r"
            ).fetchone()[0]
            for table in table_rows(database)
        }
    files = {
        str(file.relative_to(home)): file.read_bytes()
        for file in sorted(home.rglob("*"))
        if file.is_file() and file.suffix != ".lock"
    }
    return rows, files


def test_what_is_put_back_is_what_was_there(
    filled: tuple[Database, Path], new_database: Callable[[], Database], tmp_path: Path
) -> None:
    database, home = filled
    before = everything(database, home)
    manifest = write_backup(database, home, tmp_path / "backup", NOW)
    assert manifest.rows["push_plan"] == 20 and manifest.revision == known_revisions()[-1]
    other, elsewhere = new_database(), tmp_path / "elsewhere"
    assert restore_backup(other, elsewhere, tmp_path / "backup") == manifest
    assert everything(other, elsewhere) == before
    assert len(PlanStore(other).read_live(PLAN_DATE)) == 20
    lake = EventLake(elsewhere / "lake", memory_gb=0.5)
    assert lake.connect().execute("SELECT event_id FROM events").fetchall() == [("1",)]
    PlanStore(other).publish(small_plan(score=0.9), **PUBLICATION)  # and it works on


def test_data_is_replaced_only_by_force_and_whole(filled: tuple[Database, Path], tmp_path: Path) -> None:
    database, home = filled
    before = everything(database, home)
    write_backup(database, home, tmp_path / "backup", NOW)
    PlanStore(database).publish(small_plan(users=7, score=0.9), **PUBLICATION)
    (home / "models" / "v1" / "ranker.txt").write_text("other trees")
    with pytest.raises(RefusedError, match=r"files in .* and \d+ rows in PostgreSQL .* would be replaced"):
        restore_backup(database, home, tmp_path / "backup")
    restore_backup(database, home, tmp_path / "backup", force=True)
    assert everything(database, home) == before


def test_a_restore_that_fails_leaves_what_was_there(filled: tuple[Database, Path], tmp_path: Path) -> None:
    database, home = filled
    backup = tmp_path / "backup"
    write_backup(database, home, backup, NOW)
    PlanStore(database).publish(small_plan(users=7, score=0.9), **PUBLICATION)
    before = everything(database, home)
    (backup / "database.dump").write_bytes((backup / "database.dump").read_bytes()[:4_000])
    with pytest.raises(KairosError, match=r"pg_restore on PostgreSQL .* failed"):
        restore_backup(database, home, backup, force=True)
    assert everything(database, home) == before


def test_a_backup_is_whole_or_not_taken_for_one(filled: tuple[Database, Path], tmp_path: Path) -> None:
    database, home = filled
    backup = tmp_path / "backup"
    write_backup(database, home, backup, NOW)
    with pytest.raises(UsageError, match="is not empty; name a new folder"):
        write_backup(database, home, backup, NOW)
    (backup / "home" / "models" / "v1" / "ranker.txt").unlink()
    with pytest.raises(UsageError, match=r"is damaged: models/v1/ranker.txt is not as it was written"):
        restore_backup(database, home, backup, force=True)
    with pytest.raises(UsageError, match="is no backup"):
        restore_backup(database, home, tmp_path / "shop", force=True)


def test_a_later_change_does_not_reach_a_backup(filled: tuple[Database, Path], tmp_path: Path) -> None:
    database, home = filled
    write_backup(database, home, tmp_path / "backup", NOW)
    (home / "models" / "v1" / "ranker.txt").write_text("other trees")
    assert (tmp_path / "backup" / "home" / "models" / "v1" / "ranker.txt").read_text() == "trees"


class _Killed(BaseException):
    """The process is gone: nothing of ours runs after this."""


@pytest.mark.parametrize("at", ["copy", "rows set aside", "rows restored", "one entry swapped"])
def test_a_restore_killed_at_any_moment_is_ended_by_the_next(
    at: str, filled: tuple[Database, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database, home = filled
    before = everything(database, home)
    write_backup(database, home, tmp_path / "backup", NOW)
    PlanStore(database).publish(small_plan(users=7, score=0.9), **PUBLICATION)
    (home / "models" / "v1" / "ranker.txt").write_text("other trees")
    with monkeypatch.context() as patched, suppress(_Killed):
        _kill(at, patched)
        restore_backup(database, home, tmp_path / "backup", force=True)
    with pytest.raises(KairosError, match="was cut off; run kairos restore"):
        require_no_restore(home)
    restore_backup(database, home, tmp_path / "backup", force=True)
    assert everything(database, home) == before
    assert read_journal(home) is None and not list(home.glob(".*"))
    with database.session() as session:
        schemas = session.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE %s", ["%aside"])
        assert schemas.fetchall() == []


def _kill(at: str, patched: pytest.MonkeyPatch) -> None:
    """Nothing; the next restore ends at this moment as `kill -9` ends it, without its own cleaning up."""
    from infra import restore

    def die(*_: object, **__: object) -> None:
        raise _Killed

    patched.setattr(restore, "_take_back", die)
    if at == "copy":
        patched.setattr(restore, "sync_tree", die)
    elif at == "rows set aside":
        patched.setattr(restore, "run_client", die)
    elif at == "rows restored":
        patched.setattr(restore, "_end", die)
    else:
        patched.setattr(restore, "sync", die)


def test_a_lake_on_another_disk_is_kept_and_put_back_there(
    filled: tuple[Database, Path], new_database: Callable[[], Database], tmp_path: Path
) -> None:
    database, home = filled
    disk = tmp_path / "disk" / "events"
    disk.parent.mkdir()
    (home / "lake").rename(disk)
    (home / "lake").symlink_to(disk)
    before = everything(database, disk)
    manifest = write_backup(database, home, tmp_path / "backup", NOW)
    assert any(name.startswith("lake/") and size for name, size in manifest.files.items())
    (disk / "current").unlink()
    restore_backup(database, home, tmp_path / "backup", force=True)
    assert (home / "lake").readlink() == disk and everything(database, disk) == before
    other, elsewhere = new_database(), tmp_path / "elsewhere"
    restore_backup(other, elsewhere, tmp_path / "backup")
    assert not (elsewhere / "lake").is_symlink() and everything(other, elsewhere / "lake") == before
