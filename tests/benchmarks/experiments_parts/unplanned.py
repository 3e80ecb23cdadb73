"""Unplanned looks: how often an interval that is looked at every day ever excludes that there is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.table import Table

from monitoring.experiments.readout import judged
from monitoring.experiments.result import ANY_TIME
from monitoring.experiments.unit_table import compared, unit_table
from tests.benchmarks.experiments_parts.many import how_many, simulated
from tests.benchmarks.experiments_parts.world import METRICS, World, day, shoppers, world_design
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_DAYS = range(1, 29)
_FIXED_Z = 1.959964


def ever(world: World, metric: str, seed: int, number: int) -> tuple[bool, bool, bool]:
    """(whether a daily look ever excluded 0, whether a fixed test would have, whether harm was called)."""
    design = world_design(world, METRICS[metric], looks=(_DAYS[-1] + 1,))
    rng = np.random.default_rng([seed, number, 7, len(metric)])
    table = unit_table(design, *shoppers(world, design, {}, rng), day(_DAYS[-1] + 10))
    excluded = peeked = harmed = False
    for on in _DAYS:
        now = table.as_of(design, day(on))
        told = judged(design, now, day(on))
        effect = told.effect(design.primary.name, "new")
        if effect is None:
            continue
        assert effect.interval == ANY_TIME, "no look is planned by then"
        excluded |= not effect.low <= 0.0 <= effect.high
        harmed |= told.decision == "stop for harm"
        peeked |= abs(compared(now, design.primary, 1, design).z) >= _FIXED_Z
    return excluded, peeked, harmed


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """The share of experiments without an effect that daily looks call something."""
    del folder
    world, count = World(), how_many(effort, 2_000)
    rows = {}
    for metric in METRICS:
        found = np.array(
            simulated(ever, (world, metric), count, effort, say, f"{metric}, daily"), dtype=float
        )
        rows[metric] = dict(zip(("sequence", "fixed", "harm"), found.mean(axis=0).tolist(), strict=True))
    worst = max(row["sequence"] for row in rows.values())
    table = Table(box=None, pad_edge=False)
    table.add_column("daily looks, no effect")
    for name in ("confidence sequence", "a fixed test, peeked at", "called harm"):
        table.add_column(name, justify="right")
    for metric, row in rows.items():
        table.add_row(metric, *(f"{share:.4f}" for share in row.values()))
    return Found(
        {"aa_false_positive_daily": worst, "unplanned": rows | {"experiments": count}},
        f"{worst:.1%} ever exclude nothing; a fixed test would in "
        f"{max(row['fixed'] for row in rows.values()):.0%}",
        (table,),
        (f"{count:,} experiments a metric, looked at on each of {len(_DAYS)} days",),
    )


PART = Part("unplanned", measure, {"aa_false_positive_daily": ("at most", 0.05)})
