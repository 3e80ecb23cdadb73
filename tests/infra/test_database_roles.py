"""Each role can do its work on a real server, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from plans import PUBLICATION, small_plan
from sqlalchemy import make_url

from features.errors import KairosError
from infra.alert_rows import NewAlert
from infra.alert_store import AlertStore
from infra.backup import write_backup
from infra.database import Database, connect, known_revisions
from infra.database_roles import ROLES, create_roles, grant_rights
from infra.dispatch_store import DispatchStore
from infra.gateway import Handover
from infra.plan_store import PlanStore
from infra.restore import restore_backup

Login = Callable[..., Database]
NOW = datetime(2017, 12, 4, 15, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def login(postgres_url: str) -> Iterator[Login]:
    """Opens a database that roles share, as a login in the role named."""
    name = f"shared_{uuid.uuid4().hex[:12]}"
    administrator = connect(postgres_url)
    opened = []

    def run(statement: str) -> None:
        with administrator.session() as session:
            session.execute(statement)

    def enter(role: str, database: str = name) -> Database:
        url = make_url(postgres_url).set(database=database)
        if role != "administrator":
            url = url.set(username=f"{role}_login")
        opened.append(connect(url.render_as_string(hide_password=False)))
        return opened[-1]

    run(f"CREATE DATABASE {name}")
    create_roles(enter("administrator"))
    roles = [role.removeprefix("kairos_") for role in ROLES]
    for role in roles:
        run(f"CREATE ROLE {role}_login LOGIN IN ROLE kairos_{role}")
        run(f"ALTER ROLE {role}_login SET role = kairos_{role}")
    migrator = enter("migrator")
    assert migrator.migrate() == known_revisions()[-1]
    assert grant_rights(migrator) and grant_rights(migrator)
    PlanStore(enter("worker")).publish(small_plan(), **PUBLICATION)
    yield enter
    for database in opened:
        database.close()
    run(f"DROP DATABASE {name} WITH (FORCE)")
    for role in (*(f"{role}_login" for role in roles), *ROLES[::-1]):
        run(f"DROP ROLE {role}")
    administrator.close()


def rows(database: Database, query: str) -> list[tuple]:
    with database.session() as session:
        return session.execute(query).fetchall()


def allowed(database: Database, *statements: str) -> list[str]:
    """Those of the statements that this login may run; each in a transaction that is rolled back."""
    done = []
    for statement in statements:
        with database.session() as session:
            try:
                with session.transaction(force_rollback=True):
                    session.execute(statement)
                done.append(statement)
            except psycopg.errors.InsufficientPrivilege:
                pass
    return done


def test_the_gateway_reads_the_live_plan_and_nothing_else(login: Login) -> None:
    gateway = login("gateway")
    assert rows(gateway, "SELECT count(user_id) FROM kairos.push_plan_live") == [(20,)]
    assert rows(gateway, "SELECT count(*) FROM kairos.push_plan_item_live") == [(40,)]
    tables = ("push_plan", "suppression", "push_dispatch", "consent_withdrawal", "model_version", "alert")
    tried = allowed(
        gateway,
        *(f"SELECT FROM kairos.{table}" for table in tables),
        "CREATE TABLE kairos.mine ()",
        "CREATE TABLE public.mine ()",
        "SET ROLE kairos_worker",
    )
    assert tried == []


def test_the_worker_plans_and_alerts_and_changes_no_table(login: Login) -> None:
    worker = login("worker")
    assert worker.migrate() == known_revisions()[-1]
    published = PlanStore(worker, kept_batches=1).publish(small_plan(score=0.7), **PUBLICATION)
    assert rows(login("gateway"), "SELECT DISTINCT batch_id FROM kairos.push_plan_live") == [
        (published.batch_id,)
    ]
    alert = NewAlert("drift", "drift", "", "error", "models", "Drift", "drift.md", {})
    assert AlertStore(worker).raise_alert(alert, NOW).row["status"] == "open"
    with worker.session() as session, session.transaction(force_rollback=True):
        session.execute("CREATE TABLE kairos_online.users (user_id text PRIMARY KEY)")
    tried = allowed(
        worker,
        "ALTER TABLE kairos.model_version ADD COLUMN mine text",
        "DROP TABLE kairos.alert",
        "CREATE TABLE kairos.mine ()",
        "UPDATE kairos.alembic_version SET version_num = '9999'",
        "CREATE ROLE mine",
        "SET ROLE kairos_migrator",
    )
    assert tried == []


def test_the_dispatcher_sends_what_is_live_and_cannot_change_the_plan(login: Login) -> None:
    dispatcher = login("dispatcher")
    assert dispatcher.migrate() == known_revisions()[-1]
    store = DispatchStore(dispatcher)
    with store.connect() as session:
        assert store.queue_due(session, NOW) == (20, 0)
        claim = store.claim(session, 5, NOW)
        assert store.record(session, claim, [Handover("sent")] * len(claim.pushes))["sent"] == 5
    tried = allowed(
        dispatcher,
        "SELECT FROM kairos.push_plan",
        "SELECT FROM kairos.suppression",
        "UPDATE kairos.kill_switch SET lifted_at = now()",
        "INSERT INTO kairos.model_version (version, status) VALUES ('mine', 'registered')",
    )
    assert tried == []


def test_an_analyst_sees_everything_but_who(login: Login) -> None:
    analyst = login("analyst")
    assert rows(analyst, "SELECT count(push_id), avg(p_engage) > 0 FROM kairos.push_plan_live") == [
        (20, True)
    ]
    assert rows(analyst, "SELECT rule, count(*) > 0 FROM kairos.suppression GROUP BY rule ORDER BY 1")
    tried = allowed(
        analyst,
        "SELECT * FROM kairos.push_plan_live",
        "SELECT user_id FROM kairos.push_plan",
        "SELECT user_id FROM kairos.push_dispatch",
        "SELECT user_id FROM kairos.suppression",
        "SELECT user_id FROM kairos.consent_withdrawal",
        "SELECT why FROM kairos.promotion_event",
        "SELECT acknowledged_by FROM kairos.alert",
        "SELECT FROM kairos_batches.push_plan",
        "DELETE FROM kairos.alert",
    )
    assert tried == []


def test_a_backup_by_the_migrator_gives_every_role_its_tables_back(login: Login, tmp_path: Path) -> None:
    name = f"again_{uuid.uuid4().hex[:12]}"
    (tmp_path / "home").mkdir()
    write_backup(login("migrator"), tmp_path / "home", tmp_path / "backup", NOW)
    with login("administrator").session() as session:
        session.execute(f"CREATE DATABASE {name}")
    try:
        administrator = login("administrator", name)
        create_roles(administrator)
        restore_backup(administrator, tmp_path / "again", tmp_path / "backup")
        assert rows(login("gateway", name), "SELECT count(*) FROM kairos.push_plan_live") == [(20,)]
        PlanStore(login("worker", name)).publish(small_plan(score=0.1), **PUBLICATION)
        assert allowed(login("analyst", name), "SELECT user_id FROM kairos.push_plan") == []
    finally:
        with login("administrator").session() as session:
            session.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_who_may_not_migrate_is_told_who_may(login: Login) -> None:
    with login("administrator").session() as session:
        session.execute("UPDATE kairos.alembic_version SET version_num = '0003'")
    try:
        with pytest.raises(KairosError, match=r"at revision 0003, .* worker_login may not change it"):
            login("worker").migrate()
    finally:
        with login("administrator").session() as session:
            session.execute("UPDATE kairos.alembic_version SET version_num = %s", [known_revisions()[-1]])
