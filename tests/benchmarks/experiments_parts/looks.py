"""Planned looks: how often nothing is called something, what is found, how honest intervals are.

Every experiment is made up, joined and read out by the functions that users' experiments go through, every
day until one decides; weekly looks are planned, and harm may stop on any day. Without an effect a ship or a
stop for harm is a false positive. With the effect that the power calculation promises to find four times in
five, ships are counted beside a fixed test of the same experiments at their end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table
from scipy.optimize import brentq

from monitoring.experiments.design import Design
from monitoring.experiments.power import Past, check_power, past_of
from monitoring.experiments.readout import judged
from monitoring.experiments.unit_table import compared, unit_table
from tests.benchmarks.experiments_parts.many import how_many, simulated
from tests.benchmarks.experiments_parts.world import METRICS, World, day, shoppers, world_design
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

LAST_DAY = 28
_FIXED_Z = 1.959964
_PAST_USERS = 300_000


@dataclass(frozen=True)
class Ended:
    """How one experiment ended.

    Attributes:
        decision: What its last readout said.
        on: On which day.
        low, high, effect: What that readout told of the primary.
        fixed_z: Of a plain test of the same units on the last day.
    """

    decision: str
    on: int
    low: float
    high: float
    effect: float
    fixed_z: float


def ended(world: World, metric: str, lift: float, days: tuple[int, ...], seed: int, number: int) -> Ended:
    """One experiment, read out on these days until it is decided."""
    design = world_design(world, METRICS[metric])
    rng = np.random.default_rng([seed, number, int(lift * 1e6), len(metric)])
    table = unit_table(design, *shoppers(world, design, {"new": lift}, rng), day(LAST_DAY + 10))
    fixed = compared(table.as_of(design, day(LAST_DAY)), design.primary, 1, design).z
    history: list[Any] = []
    for on in days:
        told = judged(design, table.as_of(design, day(on)), day(on), history)
        history += [told.look] if told.look is not None else []
        if told.decision != "continue":
            break
    effect = told.effect(design.primary.name, "new")
    if effect is None:
        return Ended(told.decision, on, -np.inf, np.inf, np.nan, fixed)
    return Ended(told.decision, on, effect.low, effect.high, effect.effect, fixed)


def promised(world: World, metric: str, seed: int) -> tuple[Design, Past, float, float]:
    """(the design, its past, the lift it finds with 80 % power, that power of a fixed test by the past)."""
    design = world_design(world, METRICS[metric])
    big = replace(world, users=_PAST_USERS)
    rng = np.random.default_rng([seed, 99])
    table = unit_table(design, *shoppers(big, design, {}, rng), day(LAST_DAY + 10))
    over = table.is_over
    covariate = design.primary.covariate
    arrivals = tuple(world.users * (1 - world.lost) * min(n / world.entering_days, 1.0) for n in range(1, 60))
    sums = {name: values[over] for name, values in table.sums.items()}
    past = past_of(design.primary, sums, None if covariate is None else table.past[covariate][over], arrivals)
    sought = check_power(design, past).detectable_relative * past.mean
    lift = float(brentq(lambda one: world.effect(metric, one) - sought, 0.0, 20.0))
    return design, past, lift, check_power(replace(design, mde_relative=sought / past.mean), past).power


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """False positives, power beside a fixed test, coverage at the stop."""
    del folder
    world, count = World(), how_many(effort)
    daily, weekly = tuple(range(1, LAST_DAY + 1)), (7, 14, 21, 28)
    rows: dict[str, dict[str, float]] = {}
    for metric in METRICS:
        _, past, lift, power = promised(world, metric, effort.seed)
        nothing = simulated(ended, (world, metric, 0.0, daily), count, effort, say, f"{metric}, no effect")
        real = simulated(ended, (world, metric, lift, weekly), count, effort, say, f"{metric}, an effect")
        truth = world.effect(metric, lift)
        ships = float(np.mean([one.decision == "ship" for one in real]))
        fixed = float(np.mean([one.fixed_z >= _FIXED_Z for one in real]))
        rows[metric] = {
            "false_positive": float(np.mean([one.decision in ("ship", "stop for harm") for one in nothing])),
            "false_positive_fixed": float(np.mean([abs(one.fixed_z) >= _FIXED_Z for one in nothing])),
            "lift": lift,
            "power_promised": power,
            "power": ships,
            "power_fixed": fixed,
            "power_ratio": ships / fixed,
            "coverage_no_effect": float(np.mean([one.low <= 0.0 <= one.high for one in nothing])),
            "coverage_effect": float(np.mean([one.low <= truth <= one.high for one in real])),
            "above_truth": float(np.mean([one.effect > truth for one in real])),
            "mean_day": float(np.mean([one.on for one in real])),
            "variance_cut": past.variance_cut,
        }
    worst = max((row["false_positive"] for row in rows.values()), key=lambda share: abs(share - 0.05))
    figures = {
        "aa_false_positive": worst,
        "aa_false_positive_least": worst,
        "power_ratio": min(row["power_ratio"] for row in rows.values()),
        "ci_coverage": min(min(row["coverage_no_effect"], row["coverage_effect"]) for row in rows.values()),
        "looks": rows | {"experiments": count, "users": world.users},
    }
    words = (
        f"{figures['aa_false_positive']:.1%} false positives, power {figures['power_ratio']:.3f} of fixed, "
        f"coverage {figures['ci_coverage']:.1%}, the worst of {len(rows)} metrics"
    )
    return Found(
        figures,
        words,
        (_table(rows),),
        (
            f"{count:,} experiments a metric, with and without an effect, of about {world.users:,} users "
            f"each; a standard error of a share near 5 % is {np.sqrt(0.05 * 0.95 / count):.2%}",
        ),
    )


def _table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("planned looks")
    for metric in rows:
        table.add_column(metric, justify="right")
    for name in next(iter(rows.values())):
        table.add_row(name.replace("_", " "), *(f"{row[name]:.4f}" for row in rows.values()))
    return table


PART = Part(
    "looks",
    measure,
    {
        "aa_false_positive": ("at most", 0.06),
        "aa_false_positive_least": ("at least", 0.04),
        "power_ratio": ("at least", 0.97),
        "ci_coverage": ("at least", 0.94),
    },
)
