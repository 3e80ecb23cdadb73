"""Unplanned looks: how often an interval that is looked at every day ever excludes that there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from monitoring.experiments.readout import judged
from monitoring.experiments.result import ANY_TIME
from monitoring.experiments.unit_table import unit_table
from tests.benchmarks.experiments_parts.many import how_many, simulated
from tests.benchmarks.experiments_parts.world import METRICS, World, day, shoppers, world_design
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_DAYS = range(1, 29)
_FIXED_Z = 1.959964


def ever(world: World, seed: int, number: int) -> tuple[tuple[bool, bool], ...]:
    """For each metric (whether a daily look ever excluded 0, whether a fixed test would have)."""
    spend, buyers = METRICS["spend"], METRICS["buyers"]
    design = world_design(world, spend, looks=(_DAYS[-1] + 1,), secondaries=(buyers,))
    rng = np.random.default_rng([seed, number, 7])
    table = unit_table(design, *shoppers(world, design, {}, rng), day(_DAYS[-1] + 10))
    excluded, peeked = dict.fromkeys(METRICS, False), dict.fromkeys(METRICS, False)
    for on in _DAYS:
        told = judged(design, table.as_of(design, day(on)), day(on))
        for effect in told.effects:
            assert effect.interval == ANY_TIME, "no look is planned by then"
            excluded[effect.metric] |= not effect.low <= 0.0 <= effect.high
            middle = (effect.low + effect.high) / 2.0
            peeked[effect.metric] |= abs(middle / effect.error) >= _FIXED_Z
    return tuple((excluded[metric], peeked[metric]) for metric in METRICS)


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """The share of experiments without an effect that daily looks call something."""
    del folder
    world, count = World(), how_many(effort, 2_000)
    shares = np.mean(simulated(ever, (world,), count, effort, say, "daily"), axis=0)
    rows = {
        metric: {"sequence": float(sequence), "fixed": float(fixed)}
        for metric, (sequence, fixed) in zip(METRICS, shares, strict=True)
    }
    worst = max(row["sequence"] for row in rows.values())
    table = Table(box=None, pad_edge=False)
    table.add_column("daily looks, no effect")
    for name in ("confidence sequence", "a fixed test, peeked at"):
        table.add_column(name, justify="right")
    for metric, row in rows.items():
        table.add_row(metric, *(f"{share:.4f}" for share in row.values()))
    return Found(
        {"aa_false_positive_daily": worst, "unplanned": rows | {"experiments": count}},
        f"{worst:.1%} ever exclude nothing; a fixed test would in "
        f"{max(row['fixed'] for row in rows.values()):.0%}",
        (table,),
        (f"{count:,} experiments, looked at on each of {len(_DAYS)} days",),
    )


PART = Part("unplanned", measure, {"aa_false_positive_daily": ("at most", 0.05)})
