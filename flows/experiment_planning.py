"""Experiments in a day's plan: which of them begin, who plans with what, who is assigned."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime

from features.calendar import local_midnight
from flows.alerts import raise_alert
from flows.experiment_designs import design_in
from flows.moments import local_date, shop_timezone
from flows.progress import step
from flows.training_data import training_data
from flows.wiring import Stores
from infra.experiment_store import StoredExperiment
from infra.rollout_store import Rollout
from models.experiments.allocation import Allocation
from models.experiments.split import Split
from monitoring.alert_words import AlertFacts
from monitoring.experiments.as_json import design_as_json
from monitoring.experiments.overlap import shares_units

PLANNER = "planner"
STOPPED = "experiment_stopped"


def allocation_of(
    stores: Stores, champion: str, rollout: Rollout | None, plan_date: date
) -> Allocation | None:
    """The experiments in the day's plan, those whose day has come begun; None if chance has no say in it.

    No experiment begins while a challenger plans for some users: whoever is champion plans for its control.
    """
    zone = shop_timezone(stores.settings)
    if rollout is None or rollout.stage != "canary":
        for one in stores.experiments.list_of("waiting"):
            if local_date(one.starts_at, zone) <= plan_date:
                _begin(stores, one, champion, plan_date)
    running = [
        one for one in stores.experiments.list_of("running") if local_date(one.starts_at, zone) <= plan_date
    ]
    share = stores.settings.global_holdout
    return Allocation(tuple(map(split_in, running)), share) if running or share else None


def _begin(stores: Stores, one: StoredExperiment, champion: str, plan_date: date) -> None:
    """Nothing; it runs from this day on, unless one that was approved earlier still has its users."""
    begins = local_midnight(plan_date, shop_timezone(stores.settings))
    design = replace(design_in(one), starts_at=max(begins, one.starts_at))
    if shares_units(design, [design_in(other) for other in stores.experiments.list_of("running")]):
        return
    pinned = {arm: told.get("model_version") or champion for arm, told in one.arms.items()}
    stores.experiments.begin(
        one.name,
        pinned,
        PLANNER,
        f"in the plan for {plan_date}",
        design_as_json(design),
        design.starts_at,
        design.ends_at,
    )


def split_in(one: StoredExperiment) -> Split:
    """The experiment's split, its arms with the model versions that are pinned since it runs."""
    split = design_in(one).split
    pinned = (replace(arm, model_version=one.arms[arm.name].get("model_version")) for arm in split.arms)
    return replace(split, arms=tuple(pinned))


def without_version(
    stores: Stores, allocation: Allocation, version: str, as_of: datetime, why: str
) -> Allocation | None:
    """The allocation without experiments that have this version in an arm, which are over."""
    broken = [split.name for split in allocation.splits if _uses(split, version)]
    for name in broken:
        stores.experiments.stop(name, "broken", None, as_of, PLANNER, why)
        raise_alert(stores, STOPPED, AlertFacts(why, done="its users are planned for as everybody"), name)
    left = tuple(split for split in allocation.splits if split.name not in broken)
    return Allocation(left, allocation.holdout_share) if left or allocation.holdout_share else None


def record_units(stores: Stores, allocation: Allocation | None, as_of: datetime, plan_date: date) -> None:
    """Nothing; every user who may be pushed and is in an experiment is on record with the arm.

    Of all who may be pushed, not of those who were planned for: a unit that gets lost on the way must be
    missed.
    """
    if allocation is None or not allocation.splits:
        return
    users = training_data(as_of).users
    gone = users["user_id"].isin(stores.stops.withdrawn_by_hand())
    eligible = users.loc[users["push_consent"].eq(True) & ~gone, "user_id"]
    begins = local_midnight(plan_date, shop_timezone(stores.settings))
    with step("experiments") as current:
        told = []
        for split in allocation.splits:
            units = allocation.assigned(eligible, split.name)
            new = stores.units.add(split.name, units, plan_date, begins)
            told.append(f"{split.name}: {len(units):,} users, {new:,} new")
        current.say("; ".join(told))


def _uses(split: Split, version: str) -> bool:
    return any(arm.model_version == version for arm in split.arms)
