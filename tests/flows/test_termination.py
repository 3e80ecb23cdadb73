"""SIGTERM and Ctrl-C end a run within seconds, also where the orderly way is barred."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

REPOSITORY = Path(__file__).parents[2]

BEGINNING = """
import signal, subprocess, sys, time
from concurrent.futures import ThreadPoolExecutor
from flows import cli, termination

signal.signal(signal.SIGINT, signal.default_int_handler)  # who starts tests in the background has it ignored
termination.GRACE_SECONDS = 0.2

def begun():
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(["sleep", "600"], **quiet)
    watchdog = subprocess.Popen(["sleep", "600"], start_new_session=True, **quiet)
    print(child.pid, watchdog.pid, flush=True)

def computes():
    import hashlib
    begun()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)  # minutes without a step of Python

def waits_for_a_thread():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 600)
        begun()
        time.sleep(600)

def swallows():
    begun()
    try:
        time.sleep(600)
    except BaseException:
        raise RuntimeError("Query interrupted")

def goes_on():
    begun()
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass

def run(arguments, prog_name):
    with termination.ending_soon():
        globals()[sys.argv[1]]()

cli.app = run
cli.main()
"""


@pytest.mark.parametrize("way", ["computes", "waits_for_a_thread", "swallows", "goes_on"])
@pytest.mark.parametrize(
    ("number", "code", "word"), [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")]
)
def test_a_signal_ends_the_process_whatever_it_is_doing(way: str, number: int, code: int, word: str) -> None:
    command = [sys.executable, "-c", BEGINNING, way]
    run = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    child, watchdog = (psutil.Process(int(pid)) for pid in run.stdout.readline().split())
    try:
        time.sleep(1.5)  # until it is in the middle of it: before, the orderly way is open
        run.send_signal(number)
        assert run.wait(timeout=60) == code
        told = run.stderr.read()
        assert told == f"{word}: what was finished is kept; the same command goes on from there.\n"
        if way != "swallows":  # there the orderly way ended it, which is the children's owner's business
            child.wait(timeout=60)
        assert watchdog.is_running()
    finally:
        for process in (child, watchdog):
            if process.is_running():
                process.kill()
