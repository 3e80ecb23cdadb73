"""The features benchmark as a command: runs its parts at every size, prints tables, writes features.json."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from flows.progress import showing_progress, step
from infra.settings import load_settings
from tests.benchmarks.scale.stages import (
    Effort,
    Result,
    make_market,
    measure_build,
    measure_online,
    measure_pit,
)
from tests.benchmarks.scale.synthetic import Market

TARGET_SIZE = 20.0
PARTS = ("pit", "build", "increment", "online")
TARGETS: dict[str, tuple[str, float]] = {
    "pit_ratio_vs_asof": ("at most", 1.2),
    "pit_speedup_vs_feast": ("at least", 5.0),
    "pit_memory_vs_feast": ("at most", 0.5),
    "mismatches": ("at most", 0),
    "build_ratio_vs_sql": ("at most", 1.3),
    "build_peak_gb": ("at most", 6.0),
    "increment_ratio": ("at most", 0.05),
    "online_entities_per_s": ("at least", 20_000),
    "online_500_p50_ms": ("at most", 25.0),
}
_GROWTH = {
    "pit": {
        "ours_seconds": "join, ours, s",
        "asof_seconds": "join, ASOF by hand, s",
        "feast_seconds": "join, stock Feast, s",
        "ours_peak_gb": "join, ours, GB",
        "asof_peak_gb": "join, ASOF by hand, GB",
        "feast_peak_gb": "join, stock Feast, GB",
    },
    "build": {
        "rows": "rows of feature tables",
        "ours_seconds": "build, ours, s",
        "sql_seconds": "build, SQL by hand, s",
        "ours_peak_gb": "build, ours, GB",
        "sql_peak_gb": "build, SQL by hand, GB",
        "increment_seconds": "one more day, s",
        "late_increment_seconds": "one more day and late events, s",
    },
}


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        sizes: Events of each market, in millions, from small to large.
        parts: Of PARTS.
        market: Its users, items, days and seed; events are those of `sizes`.
        effort: How hard to try.
    """

    sizes: tuple[float, ...]
    parts: tuple[str, ...]
    market: Market
    effort: Effort


def main(arguments: Sequence[str] | None = None) -> None:
    """Nothing; prints the tables and writes `KAIROS_HOME/bench/features.json`."""
    plan = read_plan(arguments)
    console = Console(width=None if sys.stdout.isatty() else 150)
    logging.disable(logging.INFO)
    home = load_settings().home
    work = home / "bench-data"
    work.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="features-", dir=work))
    try:
        with showing_progress(console):
            found = run(plan, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):  # another run may be at work beside
            work.rmdir()
    result = summary(plan, found) | {"wall_seconds": time.monotonic() - began}
    target = home / "bench" / "features.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    console.print(verdict_table(result))
    growth = growth_table(plan, found)
    if growth.row_count:
        console.print(growth)
    for note in result["notes"]:
        console.print(f"note: {note}")
    console.print(f"{result['wall_seconds']:.0f} s; {target}")


def read_plan(arguments: Sequence[str] | None) -> Plan:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Features beside their peers, on a made-up market.")
    parser.add_argument("--sizes", default=None, help="millions of events, as 2,6,20 (the default)")
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--days", type=int, default=90, help="of the full build")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--rows", type=int, default=None, help="of the entity frame; 1,000,000 by default")
    parser.add_argument("--quick", action="store_true", help="0.2 million events: to see that it runs")
    asked = parser.parse_args(arguments)
    parts = tuple(asked.only.split(","))
    if set(parts) - set(PARTS):
        parser.error(f"--only is {asked.only}, must name some of {', '.join(PARTS)}")
    sizes = tuple(
        sorted(float(size) for size in (asked.sizes or ("0.2" if asked.quick else "2,6,20")).split(","))
    )
    effort = Effort(rows=20_000, repeats=1, entities=20_000, rounds=30) if asked.quick else Effort()
    if asked.rows is not None:
        effort = Effort(**vars(effort) | {"rows": asked.rows})
    market = Market(users=asked.users, items=asked.items, days=asked.days, seed=asked.seed)
    return Plan(sizes, parts, market, effort)


def run(plan: Plan, folder: Path) -> dict[str, dict[float, Result]]:
    """Results by part and size; the larger files are gone as soon as they are not needed any more."""
    found: dict[str, dict[float, Result]] = {"pit": {}, "build": {}, "online": {}}
    for number, size in enumerate(plan.sizes):
        market = Market(**vars(plan.market) | {"events": round(size * 1e6)})
        days = folder / "days"
        with step(f"{size:g} M events") as current:
            events = make_market(market, days, current.say)
            current.say(
                f"{events:,} in {market.days + 2} days, {market.users:,} users, {market.items:,} items"
            )
        if "online" in plan.parts and number == 0:
            with step("online") as current:
                found["online"][size] = measure_online(days, folder / "online", plan.effort, current.say)
                current.say(_words("online", found["online"][size]))
        if "pit" in plan.parts:
            with step("join") as current:
                found["pit"][size] = measure_pit(days, folder / "pit", plan.effort, current.say)
                current.say(_words("pit", found["pit"][size]))
        if {"build", "increment"} & set(plan.parts):
            with step("build") as current:
                found["build"][size] = measure_build(
                    market,
                    days,
                    folder / "build",
                    plan.effort,
                    current.say,
                    we_begin=number % 2 == 0,
                    increment="increment" in plan.parts,
                )
                current.say(_words("build", found["build"][size]))
        for done in folder.iterdir():
            shutil.rmtree(done, ignore_errors=True)
    return found


def _words(part: str, result: Result) -> str:
    figures = result.figures
    if part == "online":
        return f"p50 {figures['online_500_p50_ms']:.1f} ms, p95 {figures['online_500_p95_ms']:.1f} ms"
    peer = "asof" if part == "pit" else "sql"
    words = f"ours {figures['ours_seconds']:.1f} s, by hand {figures[f'{peer}_seconds']:.1f} s"
    words += f", {figures['mismatches']} mismatches"
    if "increment_ratio" in figures:
        words += f", a day {figures['increment_seconds']:.1f} s"
    if "feast_seconds" in figures:
        words += f", stock Feast {figures['feast_seconds']:.1f} s"
    return words


def summary(plan: Plan, found: dict[str, dict[float, Result]]) -> dict[str, Any]:
    """The figures of the largest size under the names of TARGETS, everything else by size."""
    result: dict[str, Any] = {}
    mismatches, notes = None, []
    for by_size in found.values():
        for size, one in by_size.items():
            notes += [f"{size:g} M events, {note}" for note in one.notes]
            if "mismatches" in one.figures:
                mismatches = (mismatches or 0) + one.figures["mismatches"]
    pit, build = (_largest(found[part]) for part in ("pit", "build"))
    for name, figure in (
        ("pit_ratio_vs_asof", "ratio_vs_asof"),
        ("pit_speedup_vs_feast", "speedup_vs_feast"),
        ("pit_memory_vs_feast", "memory_vs_feast"),
    ):
        # Where the stock store did not survive the largest size, the largest that it did counts.
        held = [one.figures[figure] for _, one in sorted(found["pit"].items()) if figure in one.figures]
        if held:
            result[name] = held[-1]
    if plan.sizes[-1] < TARGET_SIZE:
        notes.append(
            f"targets are meant for {TARGET_SIZE:g} M events: below, what a process costs anyway weighs"
        )
    if pit and "feast_seconds" not in pit:
        notes.append("the stock store did not survive the largest size: its figures are of a smaller one")
    if build:
        result |= {"build_ratio_vs_sql": build["ratio_vs_sql"], "build_peak_gb": build["ours_peak_gb"]}
        if "increment_ratio" in build:
            result |= {
                "increment_ratio": build["increment_ratio"],
                "increment_ratio_late_events": build["late_increment_ratio"],
            }
    if mismatches is not None:
        result["mismatches"] = mismatches
    online = _largest(found["online"])
    if online:
        rates = {name: value for name, value in online.items() if name.endswith("_entities_per_s")}
        # The slowest way in: bulk or Feast's materialize, into an empty table or over older rows.
        result["online_entities_per_s"] = min(rates.values())
        result |= {f"online_{name}": value for name, value in rates.items()}
        result |= {name: value for name, value in online.items() if name.startswith("online_500_")}
    return result | {
        "verdicts": {name: _holds(name, result[name]) for name in TARGETS if name in result},
        "sizes": {
            f"{size:g}": {part: found[part][size].figures for part in found if size in found[part]}
            for size in plan.sizes
        },
        "notes": notes,
        "settings": {"market": vars(plan.market) | {"events": None}, "effort": vars(plan.effort)}
        | {"sizes": plan.sizes, "parts": plan.parts, "cores": os.cpu_count()},
    }


def _largest(by_size: dict[float, Result]) -> dict[str, Any]:
    return by_size[max(by_size)].figures if by_size else {}


def _holds(name: str, value: float) -> bool:
    how, bound = TARGETS[name]
    return value <= bound if how == "at most" else value >= bound


def verdict_table(result: dict[str, Any]) -> Table:
    """Every target with what was measured."""
    table = Table(box=None, pad_edge=False)
    table.add_column("key")
    for name in ("measured", "target", "verdict"):
        table.add_column(name, justify="right")
    for name, (how, bound) in TARGETS.items():
        if name in result:
            verdict = "[green]holds[/]" if result["verdicts"][name] else "[red]missed[/]"
            table.add_row(name, _number(result[name]), f"{how} {bound:,g}", verdict)
    for name, value in result.items():
        if isinstance(value, float) and name not in TARGETS and name != "wall_seconds":
            table.add_row(f"[dim]{name}[/]", f"[dim]{_number(value)}[/]", "", "")
    return table


def growth_table(plan: Plan, found: dict[str, dict[float, Result]]) -> Table:
    """How time, memory and rows grow with the events."""
    table = Table(box=None, pad_edge=False)
    table.add_column("events, millions")
    for size in plan.sizes:
        table.add_column(f"{size:g}", justify="right")
    for part, names in _GROWTH.items():
        for name, words in names.items():
            values = [
                found[part][size].figures.get(name) if size in found[part] else None for size in plan.sizes
            ]
            if any(value is not None for value in values):
                table.add_row(words, *("-" if value is None else _number(value) for value in values))
    return table


def _number(value: float) -> str:
    if value >= 1000 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 20 else f"{value:.3g}"
