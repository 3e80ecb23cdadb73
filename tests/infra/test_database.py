"""Opening, migrating and reading without writing."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import make_url

from features.errors import KairosError, UsageError
from infra.database import MIGRATIONS_DIR, connect, known_revisions
from infra.tables import metadata

ROOT = Path(__file__).parents[2]


@pytest.fixture
def empty_url(database):
    """The URL of a database without any table."""
    name = f"empty_{uuid.uuid4().hex[:12]}"
    with database.session() as session:
        session.execute(f"CREATE DATABASE {name}")
    url = make_url(database.url).set(database=name)
    yield url.render_as_string(hide_password=False)
    with database.session() as session:
        session.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_migrations_lead_from_nothing_to_the_tables_of_the_code(empty_url):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    database = connect(empty_url)
    assert database.revision() is None
    assert database.migrate() == database.migrate() == known_revisions()[-1]
    options = {
        "include_schemas": True,
        "include_name": lambda name, kind, _: kind != "schema" or name == "kairos",
        "version_table_schema": "kairos",
        "compare_type": True,
        "compare_server_default": True,
    }
    with database.transaction() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
    database.close()


def test_the_newest_revision_is_told_from_the_file_names_alone():
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    script = ScriptDirectory.from_config(config)
    assert [known_revisions()[-1]] == script.get_heads()
    assert known_revisions() == [step.revision for step in script.walk_revisions()][::-1]


def test_every_step_can_be_undone(empty_url):
    from alembic import command
    from alembic.config import Config

    database = connect(empty_url)
    database.migrate()
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    with database.transaction() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    left = database.read_only("SELECT tablename FROM pg_tables WHERE schemaname = 'kairos'")[1]
    assert left == [("alembic_version",)]
    assert database.migrate() == known_revisions()[-1]
    database.close()


def test_two_processes_may_migrate_at_once(empty_url):
    code = "import sys; from infra.database import connect; print(connect(sys.argv[1]).migrate())"
    started = [
        subprocess.Popen([sys.executable, "-c", code, empty_url], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert {process.communicate()[0].strip() for process in started} == {known_revisions()[-1]}


def test_a_newer_schema_is_left_alone(empty_url):
    database = connect(empty_url)
    database.migrate()
    with database.session() as session:
        session.execute("UPDATE kairos.alembic_version SET version_num = '9999'")
    with pytest.raises(KairosError, match=r"at revision 9999, newer than this Kairos's .*; upgrade Kairos\."):
        database.migrate()
    database.close()


def one_line(url: str) -> str:
    with pytest.raises(KairosError) as error:
        connect(url, timeout_seconds=2)
    assert "\n" not in str(error.value)
    assert "s3cret" not in str(error.value)
    return str(error.value)


def test_unreachable_servers_are_one_line_with_the_fix(database):
    scheme = "postgresql+psycopg://kairos:s3cret"
    assert "nothing listens there; start it, or correct" in one_line(f"{scheme}@127.0.0.1:1/shop")
    assert "that host is unknown; correct the host" in one_line(f"{scheme}@no-such-host.invalid/shop")
    assert "is no URL; write postgresql://" in one_line("postgresql+psycopg://kairos:s3cret@h:port/shop")
    url = make_url(database.url)
    missing = url.set(database="missing").render_as_string(hide_password=False)
    assert "there is no such database; create it (createdb missing)" in one_line(missing)
    nobody = url.set(username="nobody", password="s3cret").render_as_string(hide_password=False)
    assert "there is no user nobody; create it" in one_line(nobody)


def test_a_wrong_password_is_one_line_with_the_fix(database):
    data = Path(str(make_url(database.url).query["host"]))
    rules = data / "pg_hba.conf"
    before = rules.read_text()
    try:
        with database.session() as session:
            session.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
            rules.write_text("local all guarded scram-sha-256\n" + before)
            session.execute("SELECT pg_reload_conf(), pg_sleep(0.3)")
        guarded = make_url(database.url).set(username="guarded")
        wrong = guarded.set(password="s3cret").render_as_string(hide_password=False)
        assert "wrong password for user guarded; correct it in KAIROS_DATABASE_URL" in one_line(wrong)
        none = guarded.render_as_string(hide_password=False)
        assert "it asks user guarded for a password; set KAIROS_DATABASE_URL" in one_line(none)
        right = connect(guarded.set(password="right").render_as_string(hide_password=False))
        assert "right" not in repr(right)
        assert "***" in repr(right)
        with pytest.raises(UsageError, match="read-only"):
            right.read_only("CREATE TABLE kairos.mine (x int)")
        right.close()
        in_query = guarded.update_query_dict({"password": "right", "passfile": "right"})
        asked = connect(in_query.render_as_string(hide_password=False))
        assert "right" not in repr(asked)
        asked.close()
    finally:
        rules.write_text(before)
        with database.session() as session:
            session.execute("SELECT pg_reload_conf()")
            session.execute("DROP ROLE IF EXISTS guarded")


def test_read_only_reads(database):
    columns, rows = database.read_only("SELECT n, n * 2 AS twice FROM generate_series(1, 9) AS n", limit=2)
    assert columns == ("n", "twice")
    assert rows == [(1, 2), (2, 4)]
    columns, rows = database.read_only("SELECT batch_id, status FROM kairos.push_batch")
    assert (columns, rows) == (("batch_id", "status"), [])
    assert database.read_only("SELECT '%s%%' AS plain")[1] == [("%s%%",)]


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM kairos.push_batch",
        "WITH gone AS (DELETE FROM kairos.push_batch RETURNING *) SELECT * FROM gone",
        "CREATE TABLE kairos.mine (x int)",
        "SELECT nextval('kairos.gate_decision_decision_seq')",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
def test_read_only_refuses_to_write(database, query):
    with pytest.raises(UsageError, match=r"^this query is read-only: .*; ask with SELECT\.$"):
        database.read_only(query)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("SELECT 1; COMMIT; DELETE FROM kairos.push_batch", "cannot insert multiple commands"),
        ("SELEC 1", 'SQL: syntax error at or near "SELEC"'),
        ("SELECT nope FROM kairos.push_batch", 'SQL: column "nope" does not exist'),
        ("SELECT 1 / 0", "SQL: division by zero"),
        ("COMMIT", "that statement returns no rows"),
        ("", "that statement returns no rows"),
        ("COPY (SELECT 1) TO STDOUT", "that statement returns no rows"),
        ("SELECT pg_sleep(30)", "the query ran over 0.3 s; narrow it"),
    ],
)
def test_a_wrong_query_is_one_line(database, query, message):
    with pytest.raises(UsageError) as error:
        database.read_only(query, timeout_seconds=0.3)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_a_lost_connection_in_a_transaction_is_one_line(database):
    lost = "connection to PostgreSQL .* was lost; check"
    with pytest.raises(KairosError, match=lost), database.transaction() as connection:
        connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


def test_data_of_the_first_schema_survives_the_way_to_the_newest(empty_url):
    from alembic import command
    from alembic.config import Config

    database = connect(empty_url)
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS_DIR))
    with database.transaction() as connection:
        connection.exec_driver_sql("CREATE SCHEMA kairos; CREATE SCHEMA kairos_batches")
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
    with database.session() as session:
        session.execute(FIRST_ROWS)
    assert database.revision() == "0001"
    assert database.migrate() == known_revisions()[-1]
    live = database.read_only("SELECT push_id, user_id, batch_id FROM kairos.push_plan_live")[1]
    assert live == [("p1", "u1", "b1")]
    assert database.read_only("SELECT title, owner, flaps FROM kairos.alert")[1] == [("Drift", "platform", 0)]
    with database.session() as session:
        session.execute("INSERT INTO kairos.kill_switch (scope, who, why) VALUES ('all', 'me', 'test')")
    assert database.read_only("SELECT count(*) FROM kairos.push_plan_live")[1] == [(0,)]
    assert database.read_only("SELECT version FROM kairos.model_alias")[1] == [("m1",)]
    database.close()


FIRST_ROWS = """
INSERT INTO kairos.push_batch (batch_id, plan_date, as_of, status, model_version, policy_version, rows, users,
    items, suppressions, checksum) VALUES ('b1', '2017-12-04', now(), 'live', 'm1', 'p', 1, 1, 1, 1, 'c');
CREATE TABLE kairos_batches.push_plan_b1 PARTITION OF kairos.push_plan FOR VALUES IN ('b1');
CREATE TABLE kairos_batches.push_plan_item_b1 PARTITION OF kairos.push_plan_item FOR VALUES IN ('b1');
CREATE TABLE kairos_batches.suppression_b1 PARTITION OF kairos.suppression FOR VALUES IN ('b1');
INSERT INTO kairos.push_plan (push_id, batch_id, plan_date, user_id, slot, send_at, expires_at, timezone,
    channel, item_id, p_engage, expected_value, propensity, model_version, policy_version)
    VALUES ('p1', 'b1', '2017-12-04', 'u1', 'midday', now(), now() + interval '4 hours', 'UTC', 'push', 'i1',
    0.1, 0.2, 1, 'm1', 'p');
INSERT INTO kairos.push_plan_item VALUES ('b1', 'p1', 1, 'i1', 0.5, '[]');
INSERT INTO kairos.suppression VALUES ('b1', 'u2', 'midday', NULL, 'no_consent', 'none');
INSERT INTO kairos.model_version (version, status) VALUES ('m1', 'registered');
INSERT INTO kairos.model_alias (alias, version) VALUES ('champion', 'm1');
INSERT INTO kairos.alert (dedup_key, severity, title, status, first_seen, last_seen)
    VALUES ('drift', 'error', 'Drift', 'open', now(), now());
INSERT INTO kairos.flow_watermark (flow, value) VALUES ('ingest', now());
"""
