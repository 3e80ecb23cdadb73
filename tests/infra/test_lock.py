"""One holder at a time; the dead hold nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import KairosError
from infra.lock import exclusive_lock

HOLD = """
import sys, time
from pathlib import Path
from infra.lock import exclusive_lock
with exclusive_lock(Path(sys.argv[1]), "the lake"):
    print("held", flush=True)
    time.sleep(600)
"""


def test_the_second_holder_is_told_who_holds_it_until_that_one_dies(tmp_path: Path):
    path = tmp_path / "lake" / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=Path(__file__).parents[2], stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    pid = holder.pid
    message = rf"the lake is in use by process {pid} since .* UTC; wait for it or stop it \(kill {pid}\)"
    with pytest.raises(KairosError, match=message), exclusive_lock(path, "the lake"):
        pass
    holder.kill()
    holder.communicate()
    with exclusive_lock(path, "the lake"):
        assert path.read_text().startswith(f"{os.getpid()} ")
    assert path.read_text() == ""


def test_a_stale_file_is_no_lock(tmp_path: Path):
    path = tmp_path / "lock"
    path.write_text("1 2017-01-01 00:00:00 UTC\n")
    with exclusive_lock(path, "the lake"), pytest.raises(KairosError), exclusive_lock(path, "the lake"):
        pass
