"""From a fresh clone to a platform that answers, what it takes idle, and what it leaves when it stops."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil
from rich.table import Table

from tests.benchmarks.operate_parts.platform import RunningUp, clean_environment, running_up
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_ROOT = Path(__file__).resolve().parents[3]
_SETTLE_SECONDS = 60.0


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """One start from nothing but the package cache."""
    spent: dict[str, float] = {}
    clone = folder / "clone"
    environment = {**clean_environment(), "KAIROS_HOME": str(clone / ".kairos")}
    for name, command, where in (
        ("clone", ["git", "clone", "--quiet", str(_ROOT), str(clone)], folder),
        ("install", ["bash", "infra/bootstrap.sh"], clone),
    ):
        say(name)
        began = time.monotonic()
        subprocess.run(command, cwd=where, env=environment, check=True, capture_output=True)
        spent[name] = time.monotonic() - began
    say("up")
    began = time.monotonic()
    with running_up(clone, environment, clone / ".venv" / "bin" / "kairos") as up:
        spent["up"] = time.monotonic() - began
        say("idle")
        time.sleep(_SETTLE_SECONDS if max(effort.sizes) >= 1 else 10.0)
        memory = _memory(up)
        stopping = up.stop()
        orphans = up.orphans()
    total = sum(pss for pss, _, _ in memory.values())
    figures = {
        "clone_to_up_seconds": sum(spent.values()),
        "up_seconds": spent["up"],
        "seconds": spent,
        "idle_pss_gb": total / 1e9,
        "idle_rss_gb": sum(rss for _, rss, _ in memory.values()) / 1e9,
        "idle_pss_gb_by_part": {name: pss / 1e9 for name, (pss, _, _) in memory.items()},
        "stop_seconds": stopping,
        "orphans": len(orphans),
    }
    words = f"up in {sum(spent.values()):.0f} s, {total / 1e9:.2f} GB idle, stopped in {stopping:.0f} s"
    notes = (
        "memory is the sum of PSS (shared pages counted once among those who share them) of kairos up and of "
        "all that it started, PostgreSQL with its shared buffers among them, a minute after it answered",
        "what is cloned is the last commit; packages come from the package cache where it has them",
        *(f"left running: {one}" for one in orphans),
    )
    return Found(figures, words, (_table(memory),), notes)


def _memory(up: RunningUp) -> dict[str, tuple[int, int, int]]:
    """(PSS, RSS, processes) by part."""
    found = {}
    for name, processes in up.processes().items():
        told = [info for one in processes if (info := _memory_of(one)) is not None]
        found[name] = (sum(pss for pss, _ in told), sum(rss for _, rss in told), len(told))
    return found


def _memory_of(process: psutil.Process) -> tuple[int, int] | None:
    try:
        info = process.memory_full_info()
    except psutil.NoSuchProcess:
        return None
    return info.pss, info.rss


def _table(memory: dict[str, tuple[int, int, int]]) -> Table:
    table = Table(title="Memory, idle", title_justify="left", box=None, pad_edge=False)
    table.add_column("part")
    for name in ("processes", "PSS MB", "RSS MB"):
        table.add_column(name, justify="right")
    for name, (pss, rss, count) in memory.items():
        table.add_row(name, str(count), f"{pss / 1e6:.0f}", f"{rss / 1e6:.0f}")
    return table


PART = Part(
    "start",
    measure,
    {
        "clone_to_up_seconds": ("at most", 180.0),
        "up_seconds": ("at most", 60.0),
        "idle_pss_gb": ("at most", 1.5),
        "orphans": ("at most", 0.0),
    },
)
