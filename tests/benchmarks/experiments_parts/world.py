"""Made-up shoppers with a known effect: skewed tastes, heavy-tailed spend, several orders a user, newcomers.

Users come over three weeks. Each has a taste; orders in a window are Poisson about it, about one user in ten
orders, and an order's amount is log-normal. A treatment multiplies the rate of orders, so that its true
effect on every metric is known exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd

from models.experiments.split import Arm, Split
from monitoring.experiments.design import Design
from monitoring.experiments.metrics import Metric

START = datetime(2026, 3, 2, tzinfo=UTC)
BUYERS = Metric("buyers", "orders", is_flag=True, covariate="orders_before")
SPEND = Metric("spend", "amount", covariate="spend_before")
ORDER_VALUE = Metric("order value", "amount", per="orders")
METRICS = {metric.name: metric for metric in (BUYERS, SPEND)}


@dataclass(frozen=True)
class World:
    """How shoppers are made.

    Attributes:
        users: Expected.
        shape: Of the gamma that tastes follow: the smaller, the more unequal.
        rate: Mean orders a window.
        spread: Of log amounts.
        mean_amount: Of an order.
        newcomers: Share of users without a past.
        lost: Share of users whose exposure is not on record, in each arm alike.
        past_windows: How many windows long the past is.
        window_days, entering_days: Of the outcome window; users come evenly over so many days.
    """

    users: int = 3_000
    shape: float = 0.4
    rate: float = 0.15
    spread: float = 1.0
    mean_amount: float = 25.0
    newcomers: float = 0.2
    lost: float = 0.02
    past_windows: float = 8.0
    window_days: float = 3.0
    entering_days: float = 23.0

    def mean(self, metric: str, lift: float = 0.0) -> float:
        """The metric's true mean where orders come (1 + lift) times as often."""
        rate = self.rate * (1.0 + lift)
        if metric == "buyers":
            return float(1.0 - (1.0 + rate / self.shape) ** -self.shape)
        return rate * self.mean_amount

    def effect(self, metric: str, lift: float) -> float:
        """The true difference that a lift makes."""
        return self.mean(metric, lift) - self.mean(metric)


def world_design(world: World, primary: Metric, looks: tuple[int, ...] = (7, 14, 21, 28), **more) -> Design:
    """The experiment that is run in it: two even arms, unless told otherwise."""
    split = Split("spring", "timing", 0.0, 1.0, (Arm("control", 0.5), Arm("new", 0.5)))
    declared = Design(
        split,
        "orders come more often",
        "crm",
        primary,
        START,
        looks,
        planned_units=world.users * (1.0 - world.lost),
        mde_relative=0.1,
        window_days=world.window_days,
    )
    return replace(declared, **more)


def shoppers(
    world: World, design: Design, lifts: dict[str, float], rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(exposures, outcomes) of one experiment.

    Args:
        lifts: Arm -> how much more often orders come; 0 for arms not named.
    """
    n = int(rng.poisson(world.users))
    names = np.array([arm.name for arm in design.split.arms], dtype=object)
    arm = rng.choice(len(names), size=n, p=[one.share for one in design.split.arms])
    taste = rng.gamma(world.shape, 1.0 / world.shape, n)
    rate = world.rate * taste * (1.0 + np.array([lifts.get(name, 0.0) for name in names])[arm])
    assigned = rng.uniform(0.0, world.entering_days, n)
    exposed = assigned + rng.uniform(0.0, 0.5, n)
    orders_before = rng.poisson(world.rate * world.past_windows * taste)
    is_new = rng.random(n) < world.newcomers
    orders = rng.poisson(rate)
    buyer = np.repeat(np.arange(n), orders)
    begins = np.datetime64(START.replace(tzinfo=None), "us")

    def at(days: np.ndarray) -> pd.Series:
        return pd.Series(begins + (days * 86_400e6).astype("timedelta64[us]")).dt.tz_localize("UTC")

    exposures = pd.DataFrame(
        {
            "unit_id": np.arange(n),
            "arm": names[arm],
            "assigned_at": at(assigned),
            "exposed_at": at(exposed).where(pd.Series(rng.random(n) >= world.lost)),
            "orders_before": np.where(is_new, np.nan, orders_before),
            "spend_before": np.where(
                is_new, np.nan, _sums(_amounts(world, orders_before, rng), orders_before)
            ),
        }
    )
    outcomes = pd.DataFrame(
        {
            "unit_id": buyer,
            "outcome_ts": at(exposed[buyer] + rng.uniform(0.0, world.window_days, len(buyer))),
            "orders": 1.0,
            "amount": _amounts(world, orders, rng),
        }
    )
    return exposures, outcomes


def day(number: float) -> datetime:
    """So many days after the start."""
    return START + timedelta(days=number)


def _amounts(world: World, orders: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    centre = np.log(world.mean_amount) - world.spread**2 / 2.0
    return rng.lognormal(centre, world.spread, int(orders.sum()))


def _sums(amounts: np.ndarray, orders: np.ndarray) -> np.ndarray:
    return np.bincount(np.repeat(np.arange(len(orders)), orders), weights=amounts, minlength=len(orders))
