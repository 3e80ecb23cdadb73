"""The four parts of the features benchmark, each at one size: who runs when, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.event_lake import EventLake
from tests.benchmarks.scale import build, online, pit, pit_data
from tests.benchmarks.scale.measure import Measured, run_apart
from tests.benchmarks.scale.synthetic import Market, end_of, put_days, write_days

Say = Callable[[str], None]
LATE_SHARE = 0.01
"""Of a day's events so many arrive only with the next day's."""
_MORE_DAYS = 2  # after the full build: one that comes by itself, one that brings late events along
_LONGEST_SECONDS = 1500.0


@dataclass(frozen=True)
class Effort:
    """How hard to try.

    Attributes:
        rows: Of the entity frame.
        repeats: Runs of each contender that takes seconds; the best counts.
        entities: Rows loaded online.
        rounds: Look-ups timed.
        pit_memory_gb: DuckDB's limit in the point-in-time join, for everybody.
        build_memory_gb: DuckDB's limit in the build, for everybody.
    """

    rows: int = 1_000_000
    repeats: int = 3
    entities: int = 200_000
    rounds: int = 200
    pit_memory_gb: float = 14.0
    build_memory_gb: float = 4.0


@dataclass
class Result:
    """Figures of one part at one size by name, and what a reader must know beside them."""

    figures: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def make_market(market: Market, folder: Path, say: Say) -> int:
    """Number of events within `market.days`; `folder` holds them and two more days."""
    whole = Market(
        events=round(market.events * (market.days + _MORE_DAYS) / market.days),
        users=market.users,
        items=market.items,
        days=market.days + _MORE_DAYS,
        seed=market.seed,
    )
    return write_days(whole, folder, progress=lambda done: say(f"day {done} of {whole.days}"))


def measure_pit(days: Path, folder: Path, effort: Effort, say: Say) -> Result:
    """The point-in-time join: ours and by hand in turns, the stock store once."""
    say("five views")
    # Apart as well: what this process holds the contenders cannot have.
    written = run_apart(
        pit_data.write_views,
        days=str(days),
        folder=str(folder),
        rows=effort.rows,
        memory_gb=effort.build_memory_gb,
    ).answer
    run_apart(pit.register, folder=str(folder))
    saved = {name: str(folder / f"{name}.arrow") for name in ("ours", "by_hand", "stock")}
    common: dict[str, Any] = {"folder": str(folder), "memory_gb": effort.pit_memory_gb}
    runs: dict[str, list[Measured]] = {"ours": [], "by_hand": [], "stock": []}
    for number in range(effort.repeats):
        turn = [("ours", pit.ours), ("by_hand", pit.by_hand)]
        for name, contender in turn if number % 2 == 0 else reversed(turn):
            say(f"{name.replace('_', ' ')}, {number + 1} of {effort.repeats}")
            runs[name].append(run_apart(contender, save=saved[name], **common))
    say("stock Feast, which takes minutes")
    runs["stock"].append(
        run_apart(pit.stock, save=saved["stock"], timeout_seconds=_LONGEST_SECONDS, **common)
    )
    best = {name: min(runs[name], key=lambda run: run.wall_seconds) for name in runs}
    peaks = {name: min(run.peak_gb for run in runs[name]) for name in runs}
    result = Result({"view_rows": written, "entity_rows": effort.rows})
    differences = 0
    for name in ("by_hand", "stock"):
        if best[name].stopped:
            result.notes.append(f"{name.replace('_', ' ')}: {best[name].stopped}")
            continue
        say(f"comparing with {name.replace('_', ' ')}")
        found = run_apart(pit.compare, mine=saved["ours"], theirs=saved[name]).answer
        differences += found["differences"]
        result.figures[f"cells_compared_{name}"] = found["cells"]
    result.figures |= {
        "ours_seconds": best["ours"].wall_seconds,
        "asof_seconds": best["by_hand"].wall_seconds,
        "ours_peak_gb": peaks["ours"],
        "asof_peak_gb": peaks["by_hand"],
        "ours_cpu_seconds": best["ours"].cpu_seconds,
        "asof_cpu_seconds": best["by_hand"].cpu_seconds,
        "ratio_vs_asof": best["ours"].wall_seconds / best["by_hand"].wall_seconds,
        "rows_per_second": effort.rows / best["ours"].wall_seconds,
        "mismatches": differences,
    }
    if not best["stock"].stopped:
        result.figures |= {
            "feast_seconds": best["stock"].wall_seconds,
            "feast_peak_gb": peaks["stock"],
            "speedup_vs_feast": best["stock"].wall_seconds / best["ours"].wall_seconds,
            "memory_vs_feast": peaks["ours"] / peaks["stock"],
        }
    for path in saved.values():
        Path(path).unlink(missing_ok=True)
    return result


def measure_build(
    market: Market, days: Path, folder: Path, effort: Effort, say: Say, *, we_begin: bool, increment: bool
) -> Result:
    """All counted tables from the first days, ours and by hand; then a day more, and one with late events.

    Args:
        market: What lies in `days`.
        days: What `make_market` left.
        folder: For lake and tables.
        effort: How hard to try.
        say: Told what happens.
        we_begin: Whether ours runs first.
        increment: Whether to go on after the full build.
    """
    lake = EventLake(folder / "lake", memory_gb=effort.build_memory_gb)
    common: dict[str, Any] = {"lake": str(lake.root), "memory_gb": effort.build_memory_gb}
    ours, theirs = str(folder / "ours"), str(folder / "by_hand")
    last = market.days - 1
    say("the lake")
    events = put_days(lake, days, market.days, {last: LATE_SHARE}).tables["events"].accepted
    until = end_of(market.days).isoformat()
    runs: dict[str, Measured] = {}
    turn = [("ours", build.ours, ours), ("by_hand", build.by_hand, theirs)]
    for name, contender, target in turn if we_begin else reversed(turn):
        say("ours, everything" if name == "ours" else "by hand, everything")
        runs[name] = run_apart(contender, folder=target, until=until, **common)
    full, hand = runs["ours"], runs["by_hand"]
    # Comparing takes as long as building: of the largest market every eighth key is looked at.
    one_key_in = 1 if events < 10_000_000 else 8
    say("comparing with SQL")
    comparison: dict[str, Any] = {"memory_gb": effort.pit_memory_gb, "one_key_in": one_key_in}
    found = run_apart(build.compare, mine=ours, theirs=theirs, **comparison).answer
    result = Result(
        {
            "events": events,
            "tables": len(build.COUNTED),
            "rows": full.answer["rows"],
            "ours_seconds": full.wall_seconds,
            "sql_seconds": hand.wall_seconds,
            "ours_cpu_seconds": full.cpu_seconds,
            "sql_cpu_seconds": hand.cpu_seconds,
            "ours_peak_gb": full.peak_gb,
            "sql_peak_gb": hand.peak_gb,
            "ratio_vs_sql": full.wall_seconds / hand.wall_seconds,
            "events_per_second": events / full.wall_seconds,
            "mismatches": found["differences"],
            "values_compared": found["values"],
        }
    )
    _note(result, "ours and SQL", found)
    if not increment:
        return result
    steps = (("a day", {last + 1: LATE_SHARE, last: LATE_SHARE}), ("a day, late events", {}))
    for number, (words, late) in enumerate(steps, start=1):
        say(words)
        put_days(lake, days, market.days + number, late)
        until = end_of(market.days + number).isoformat()
        run = run_apart(build.ours, folder=ours, until=until, **common)
        assert run.answer["mode"] == "increment", run.answer
        name = "increment" if number == 1 else "late_increment"
        result.figures |= {
            f"{name}_seconds": run.wall_seconds,
            f"{name}_cpu_seconds": run.cpu_seconds,
            f"{name}_days": run.answer["recounted"],
            f"{name}_ratio": run.wall_seconds / full.wall_seconds,
        }
    if events < 5_000_000:
        say("comparing with a full build")
        run_apart(build.ours, folder=theirs + "-full", until=until, **common)
        found = run_apart(build.compare, mine=ours, theirs=theirs + "-full", **comparison).answer
        result.figures["mismatches"] += found["differences"]
        result.figures["values_compared"] += found["values"]
        _note(result, "increments and full build", found)
    return result


def measure_online(days: Path, folder: Path, effort: Effort, say: Say) -> Result:
    """Loading and reading on an embedded Postgres."""
    from infra.embedded_postgres import release_embedded, start_embedded

    say("three tables")
    pairs = 500 * (effort.rounds + online.WARM_ROUNDS)
    run_apart(online.prepare, days=str(days), folder=str(folder), pairs=pairs)
    result = Result({"entities_loaded": effort.entities})
    home = folder / "home"
    url = start_embedded(home)
    try:
        for way in ("bulk", "feast"):
            for again in (False, True):
                say(f"loading, {way}{', over older rows' if again else ''}")
                schema = f"{way}_{'again' if again else 'first'}"
                common = {"url": url, "folder": str(folder), "schema": schema}
                run = run_apart(online.load, entities=effort.entities, way=way, again=again, **common)
                result.figures[f"{schema}_entities_per_s"] = effort.entities / run.wall_seconds
        say("looking up")
        found = run_apart(
            online.look_up, url=url, folder=str(folder), schema="look_up", entities=500, rounds=effort.rounds
        )
        result.figures |= {f"online_500_{name}": value for name, value in found.answer.items()}
    finally:
        release_embedded(home)
    return result


def _note(result: Result, who: str, found: dict[str, Any]) -> None:
    if found["where"]:
        result.notes.append(
            f"{who} differ in " + ", ".join(f"{name} ({count:,})" for name, count in found["where"].items())
        )
