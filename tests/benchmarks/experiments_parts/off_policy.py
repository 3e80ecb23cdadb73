"""Off-policy estimates: how often their intervals hold the known worth of a challenger.

What is simulated is behind `Truth`: any world that can log an experiment's choices and knows the challenger's
worth can stand in for the small one used here.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.table import Table

from monitoring.experiments.off_policy import DR, IPS, SNIPS, LoggedChoices, off_policy_readout
from tests.benchmarks.experiments_parts.logged_bandit import Bandit
from tests.benchmarks.experiments_parts.many import how_many, simulated
from tests.benchmarks.scoring_parts.part import Effort, Found, Part, Say

_METHODS = (IPS, SNIPS, DR)


class Truth(Protocol):
    """A world with logged choices."""

    @property
    def truth(self) -> float:
        """Mean reward a choice under the challenger."""
        ...

    def log(self, rng: np.random.Generator, number: int) -> LoggedChoices:
        """The choices of one experiment."""
        ...


def estimated(world: Truth, seed: int, number: int) -> tuple[tuple[float, float, float], ...] | None:
    """(value, low, high) by each method; None where the readout warns against concluding anything."""
    found = off_policy_readout(world.log(np.random.default_rng([seed, number]), number))
    if found.warnings:
        return None
    return tuple((one.value, one.low, one.high) for one in map(found.of, _METHODS))


def measure(effort: Effort, folder: Path, say: Say) -> Found:
    """Coverage by method, in three shops that explore more and less."""
    del folder
    count = how_many(effort, 2_000)
    usual = Bandit()
    worlds = {
        "usual": usual,
        "half the users": replace(usual, users=usual.users // 2),
        "explores less": replace(usual, exploration=0.15),
    }
    rows: dict[str, dict[str, float]] = {}
    for name, world in worlds.items():
        told = simulated(estimated, (world,), count, effort, say, name)
        usable = np.array([one for one in told if one is not None])
        row = {"truth": world.truth, "usable": len(usable) / count}
        for place, method in enumerate(_METHODS):
            value, low, high = usable[:, place].T
            row[f"{method} coverage"] = float(((low <= world.truth) & (world.truth <= high)).mean())
            row[f"{method} bias"] = float(value.mean() - world.truth)
            row[f"{method} spread"] = float(value.std())
        rows[name] = row
    coverage = min(row[f"{method} coverage"] for row in rows.values() for method in _METHODS)
    return Found(
        {"ope_coverage": coverage, "off_policy": rows | {"experiments": count}},
        f"{coverage:.1%}, the worst of {len(_METHODS)} methods in {len(rows)} shops",
        (_table(rows),),
        (
            f"{count:,} logs a shop of {usual.users:,} users on {usual.days} days, chosen and logged by the "
            "planner's epsilon-soft code; the worth of the challenger is known exactly",
        ),
    )


def _table(rows: dict[str, dict[str, float]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("off-policy")
    for name in rows:
        table.add_column(name, justify="right")
    for figure in next(iter(rows.values())):
        table.add_row(figure, *(f"{row[figure]:.4f}" for row in rows.values()))
    return table


PART = Part("off_policy", measure, {"ope_coverage": ("at least", 0.93)})
