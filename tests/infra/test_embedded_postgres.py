"""The embedded server: shared, never left behind, and unmoved by stale files."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from features.errors import KairosError
from infra.embedded_postgres import release_embedded, revive_embedded, start_embedded
from infra.postgres_watchdog import postmaster_pid

ROOT = Path(__file__).parents[2]
USE = """
import sys, time
from pathlib import Path
from infra.embedded_postgres import start_embedded
print(start_embedded(Path(sys.argv[1])), flush=True)
sys.stdin.read()
"""


def user(home: Path) -> subprocess.Popen[str]:
    """Another process that uses the home's server until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", USE, str(home)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("postgresql+psycopg://")
    return process


def ask(url: str, query: str) -> object:
    parsed = make_url(url)
    with psycopg.connect(
        host=parsed.query["host"], user=parsed.username, dbname=parsed.database
    ) as connection:
        row = connection.execute(query).fetchone()
        return row and row[0]


def gone(data: Path) -> bool:
    """Whether no server runs on `data` any more; waits a while for it."""
    for _ in range(600):
        if postmaster_pid(data) is None:
            return True
        time.sleep(0.05)
    return False


@pytest.fixture
def home(tmp_path: Path):
    yield tmp_path
    release_embedded(tmp_path)
    assert gone(tmp_path / "postgres" / "data")


def test_processes_share_one_server_that_stops_with_the_last_of_them(home: Path):
    url = start_embedded(home)
    assert start_embedded(home) == url
    data = home / "postgres" / "data"
    pid = postmaster_pid(data)
    other = user(home)
    assert postmaster_pid(data) == pid
    release_embedded(home)
    assert ask(url, "SHOW TimeZone") == "UTC"
    other.communicate("")
    assert gone(data)


def test_a_killed_user_leaves_no_server_behind(home: Path):
    other = user(home)
    assert postmaster_pid(home / "postgres" / "data")
    other.kill()
    other.communicate()
    assert gone(home / "postgres" / "data")


def test_a_killed_server_recovers_with_its_data(home: Path):
    url = start_embedded(home)
    parsed = make_url(url)
    with psycopg.connect(host=parsed.query["host"], user="postgres", dbname="kairos") as connection:
        connection.execute("CREATE TABLE kept (x int)")
    pid = postmaster_pid(home / "postgres" / "data")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    other = user(home)  # finds the server dead and its postmaster.pid there
    assert ask(url, "SELECT count(*) FROM kept") == 0
    other.communicate("")
    assert not revive_embedded(home)
    pid = postmaster_pid(home / "postgres" / "data")
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert gone(home / "postgres" / "data")
    assert revive_embedded(home)
    assert ask(url, "SELECT count(*) FROM kept") == 0


def test_a_stale_pid_file_that_names_another_program_is_no_server(home: Path):
    start_embedded(home)
    data = home / "postgres" / "data"
    lines = (data / "postmaster.pid").read_text().splitlines()
    release_embedded(home)
    assert gone(data)
    lines[0] = str(os.getpid())  # after a reboot the number belongs to somebody else
    (data / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert ask(start_embedded(home), "SELECT 1") == 1


def test_a_long_path_gets_a_short_socket(tmp_path: Path):
    home = tmp_path / ("long" * 30)
    assert ask(start_embedded(home), "SELECT 1") == 1
    release_embedded(home)
    assert gone(home / "postgres" / "data")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root switches to another account")
def test_a_private_folder_stays_private_to_everybody_else(tmp_path: Path):
    private = tmp_path / "private"
    private.mkdir(mode=0o700)
    assert ask(start_embedded(private / "home"), "SELECT 1") == 1
    assert private.stat().st_mode & 0o007 == 0
    release_embedded(private / "home")


def test_another_major_version_is_named(home: Path):
    start_embedded(home)
    release_embedded(home)
    data = home / "postgres" / "data"
    assert gone(data)
    (data / "PG_VERSION").write_text("16\n")
    with pytest.raises(
        KairosError, match="was written by PostgreSQL 16, this Kairos brings 18; use the Kairos"
    ):
        start_embedded(home)


def test_a_home_that_cannot_be_written_is_explained(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(KairosError, match=r"cannot keep PostgreSQL's files under .*; set KAIROS_HOME"):
        start_embedded(tmp_path / "file")
