"""Runs a contender in a process of its own: wall time of its timed part, peak memory with its children."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

_ROOT = Path(__file__).resolve().parents[3]
_POLL_SECONDS = 0.2  # looking more often would take a core away from who is measured
_MARK = "KAIROS_BENCH_MEASURED"


@dataclass(frozen=True)
class Measured:
    """One run of one contender.

    Attributes:
        wall_seconds: Of its timed part; infinite for a run that was stopped.
        cpu_seconds: Of all cores, its children's too; says more than the wall on a machine that is not idle.
        peak_gb: Largest resident memory of process and children up to the end of the timed part.
        answer: What the contender returned.
        stopped: Why it did not come to an end; empty when it did.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_gb: float
    answer: dict[str, Any] = field(default_factory=dict)
    stopped: str = ""


def run_apart(
    contender: Callable[..., Any],
    *,
    memory_guard_gb: float | None = None,
    timeout_seconds: float = 1800,
    **arguments: Any,
) -> Measured:
    """What the run took; the contender is called in a fresh process and marks its timed part with `timed`.

    A contender without a timed part takes no time, but answers.

    Args:
        contender: A function of a module below the repository, whose answer JSON can hold.
        memory_guard_gb: Resident memory at which the run is killed; None is 90 % of
            what the machine has free.
        timeout_seconds: After which it is killed.
        arguments: What JSON can hold.

    Raises:
        RuntimeError: The contender failed by itself.
    """
    guard = memory_guard_gb or 0.9 * psutil.virtual_memory().available / 1e9
    with tempfile.TemporaryDirectory() as folder:
        mark, errors = Path(folder) / "measured.json", Path(folder) / "errors"
        command = [sys.executable, "-m", __name__, contender.__module__, contender.__name__]
        with errors.open("wb") as sink:
            process = subprocess.Popen(
                [*command, json.dumps(arguments), str(mark)],
                cwd=_ROOT,
                env=os.environ | {_MARK: str(mark), "FEAST_USAGE": "False", "OMP_WAIT_POLICY": "PASSIVE"},
                stdout=sink,
                stderr=sink,
                start_new_session=True,
            )
            peak, stopped = _watch(process, mark, guard, timeout_seconds)
        if stopped:
            return Measured(float("inf"), float("inf"), peak, stopped=stopped)
        if process.returncode != 0:
            last = errors.read_text(encoding="utf-8", errors="replace")[-4000:]
            if process.returncode == -signal.SIGKILL:
                return Measured(
                    float("inf"), float("inf"), peak, stopped="killed by the system, out of memory"
                )
            if "OutOfMemory" in last or "MemoryError" in last or "Out of Memory" in last:
                return Measured(float("inf"), float("inf"), peak, stopped="out of memory within its limit")
            raise RuntimeError(f"{contender.__module__}.{contender.__name__} failed:\n{last}")
        untimed = {"wall_seconds": 0.0, "cpu_seconds": 0.0, "peak_gb": 0.0}
        told = json.loads(mark.read_text(encoding="utf-8")) if mark.exists() else untimed
        answer = json.loads(mark.with_suffix(".answer").read_text(encoding="utf-8"))
        peak = max(peak, told["peak_gb"])
        return Measured(told["wall_seconds"], told["cpu_seconds"], peak, answer or {})


@contextmanager
def timed() -> Iterator[None]:
    """Nothing; the block is the contender's timed part, of which there is one."""
    began, busy = time.perf_counter(), _cpu_seconds()
    yield
    wall = time.perf_counter() - began
    mark = os.environ.get(_MARK)
    if mark:
        told = {"wall_seconds": wall, "cpu_seconds": _cpu_seconds() - busy, "peak_gb": _own_peak_gb()}
        partial = Path(mark).with_suffix(".partial")
        partial.write_text(json.dumps(told), encoding="utf-8")
        partial.replace(mark)


def _own_peak_gb() -> float:
    """The kernel's own high-water mark, exact where polling may miss a short peak; 0 where it keeps none.

    Not `ru_maxrss`: that begins with the peak of the process by which this one was started.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return 0.0
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e9


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _watch(
    process: subprocess.Popen[bytes], mark: Path, guard_gb: float, timeout_seconds: float
) -> tuple[float, str]:
    """(peak GB of the process tree until it made its mark, why it was killed)."""
    began, peak, stopped = time.monotonic(), 0.0, ""
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        resident = _resident_gb(watched)
        if not mark.exists():
            peak = max(peak, resident)
        if resident > guard_gb:
            stopped = f"stopped at {resident:.1f} GB"
        if time.monotonic() - began > timeout_seconds:
            stopped = f"stopped after {timeout_seconds:.0f} s"
        if stopped:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            break
        time.sleep(_POLL_SECONDS)
    return peak, stopped


def _resident_gb(watched: psutil.Process) -> float:
    total = 0
    try:
        for each in [watched, *watched.children(recursive=True)]:
            total += each.memory_info().rss
    except psutil.NoSuchProcess:
        pass  # gone between being listed and being asked
    return total / 1e9


def _main() -> None:
    module, name, arguments, mark = sys.argv[1:]
    answer = getattr(importlib.import_module(module), name)(**json.loads(arguments))
    Path(mark).with_suffix(".answer").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    _main()
