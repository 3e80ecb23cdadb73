"""A benchmark of parts as a command: runs them, prints their tables, writes NAME.json."""

from __future__ import annotations

import argparse
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.progress import showing_progress, step
from infra.settings import load_settings
from tests.benchmarks.scoring_parts.part import Effort, Found, Part


def main(name: str, about: str, every: Sequence[Part], arguments: Sequence[str] | None = None) -> None:
    """Nothing; prints the tables and writes `KAIROS_HOME/bench/NAME.json`.

    Args:
        about: What the command says of itself.
        every: Its parts.
    """
    parts, effort = read_plan(about, every, arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    logging.disable(logging.INFO)
    home = load_settings().home
    work = home / "bench-data"
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    found: dict[str, Found] = {}
    with showing_progress(console):
        for part in parts:
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-{part.name}-", dir=work))
            try:
                with step(part.name) as current:
                    found[part.name] = part.measure(effort, folder, current.say)
                    current.say(found[part.name].words)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    result = summary(parts, found, effort) | {"wall_seconds": time.monotonic() - began}
    target = home / "bench" / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(verdict_table(parts, result))
    for part in parts:
        for table in found[part.name].tables:
            console.print(table)
    for note in result["notes"]:
        console.print(f"note: {note}")
    console.print(f"{result['wall_seconds']:.0f} s; {target}")


def read_plan(
    about: str, every: Sequence[Part], arguments: Sequence[str] | None
) -> tuple[tuple[Part, ...], Effort]:
    """What the command line asks for."""
    names = [part.name for part in every]
    usual = Effort()
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--only", default=",".join(names), help=f"some of {','.join(names)}")
    parser.add_argument("--sizes", default=None, help="shares of each part's full size, as 0.01,0.1,1")
    parser.add_argument("--repeats", type=int, default=None, help=f"{usual.repeats} by default")
    parser.add_argument("--threads", type=int, default=usual.threads)
    parser.add_argument("--seed", type=int, default=usual.seed)
    parser.add_argument("--quick", action="store_true", help="small and once: to see that it runs")
    asked = parser.parse_args(arguments)
    chosen = asked.only.split(",")
    if set(chosen) - set(names):
        parser.error(f"--only is {asked.only}, must name some of {', '.join(names)}")
    sizes = (asked.sizes or ("0.002,0.005,0.01" if asked.quick else "")).split(",")
    repeats = asked.repeats or (2 if asked.quick else usual.repeats)
    return tuple(part for part in every if part.name in chosen), Effort(
        tuple(sorted(map(float, sizes))) if sizes != [""] else usual.sizes, repeats, asked.threads, asked.seed
    )


def summary(parts: Sequence[Part], found: dict[str, Found], effort: Effort) -> dict[str, Any]:
    """Every figure under its own name, and whether the targets hold."""
    result: dict[str, Any] = {}
    verdicts: dict[str, bool] = {}
    notes = []
    for part in parts:
        one = found[part.name]
        result |= one.figures
        verdicts |= part.verdicts(one)
        notes += [f"{part.name}: {note}" for note in one.notes]
    if max(effort.sizes) < 1:
        notes.append("targets are meant for the full size")
    settings = vars(effort) | {"parts": [part.name for part in parts], "cores": os.cpu_count()}
    return result | {"verdicts": verdicts, "notes": notes, "settings": settings}


def verdict_table(parts: Sequence[Part], result: dict[str, Any]) -> Table:
    """Every target with what was measured."""
    table = Table(box=None, pad_edge=False)
    table.add_column("key")
    for name in ("measured", "target", "verdict"):
        table.add_column(name, justify="right")
    for part in parts:
        for name, (how, bound) in part.targets.items():
            if name in result:
                verdict = "[green]holds[/]" if result["verdicts"][name] else "[red]missed[/]"
                table.add_row(name, f"{result[name]:.3g}", f"{how} {bound:g}", verdict)
    return table
