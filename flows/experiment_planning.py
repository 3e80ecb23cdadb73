"""Experiments in a day's plan: which of them begin, who plans with what, who is assigned."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import date, datetime

from features.calendar import local_midnight
from flows.alerts import raise_alert
from flows.experiment_data import shares_as_of
from flows.experiment_designs import design_in
from flows.moments import local_date, shop_timezone
from flows.progress import step
from flows.training_data import training_data
from flows.wiring import Stores
from infra.experiment_store import StoredExperiment
from infra.rollout_store import Rollout
from models.experiments.allocation import Allocation
from models.experiments.split import Split
from models.experiments.thompson import with_waves
from monitoring.alert_words import AlertFacts
from monitoring.experiments.as_json import design_as_json
from monitoring.experiments.overlap import shares_units

PLANNER = "planner"
STOPPED = "experiment_stopped"


def allocation_of(
    stores: Stores, champion: str, rollout: Rollout | None, as_of: datetime, plan_date: date
) -> Allocation | None:
    """The experiments in the day's plan, those whose day has come begun; None if chance has no say in it.

    No experiment begins while a challenger plans for some users: whoever is champion plans for its control.
    """
    zone = shop_timezone(stores.settings)
    if rollout is None or rollout.stage != "canary":
        for one in stores.experiments.list_of("waiting"):
            if local_date(one.starts_at, zone) <= plan_date:
                _begin(stores, one, champion, as_of, plan_date)
    running = [
        one for one in stores.experiments.list_of("running") if local_date(one.starts_at, zone) <= plan_date
    ]
    running = [_allocated(stores, one, as_of, plan_date) for one in running]
    share = stores.settings.global_holdout
    return (
        Allocation(tuple(_split_on(one, plan_date, zone) for one in running), share)
        if running or share
        else None
    )


def _begin(stores: Stores, one: StoredExperiment, champion: str, as_of: datetime, plan_date: date) -> None:
    """Nothing; it runs from its start on, unless one that was approved earlier still has its users.

    Where it was approved late it starts with the first day that can still be planned, not with the one that
    is: days may be planned ahead in any order.
    """
    zone = shop_timezone(stores.settings)
    begins = local_midnight(local_date(as_of, zone), zone)
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


def _allocated(stores: Stores, one: StoredExperiment, as_of: datetime, plan_date: date) -> StoredExperiment:
    """The experiment; where its shares move, with those of every wave that has come by the plan date.

    A wave's shares are set once, by what is known then, so that a day planned again gives the same arms.
    """
    design = design_in(one)
    if not design.is_adaptive:
        return one
    zone = shop_timezone(stores.settings)
    waves = (plan_date - local_date(design.starts_at, zone)).days + 1
    if min(waves, design.split.waves) <= len(design.split.wave_shares):
        return one
    shares, why = shares_as_of(stores, design, as_of)
    moved = replace(design, split=with_waves(design.split, shares, waves))
    return stores.experiments.reallocate(one.name, design_as_json(moved), PLANNER, f"{plan_date}: {why}")


def _split_on(one: StoredExperiment, plan_date: date, zone: str) -> Split:
    """The split as it is on that day: waves of later days, which may be planned already, have not come."""
    split = split_in(one)
    waves = (plan_date - local_date(one.starts_at, zone)).days + 1
    return replace(split, wave_shares=split.wave_shares[:waves]) if split.waves else split


def split_in(one: StoredExperiment) -> Split:
    """The experiment's split, its arms with the model versions that are pinned since it runs."""
    split = design_in(one).split
    pinned = (replace(arm, model_version=one.arms[arm.name].get("model_version")) for arm in split.arms)
    return replace(split, arms=tuple(pinned))


def end_broken(stores: Stores, names: Collection[str], as_of: datetime, why: str) -> None:
    """Nothing; these experiments are over, as an arm of theirs cannot plan, and their owners hear of it."""
    for name in names:
        stores.experiments.stop(name, "broken", None, as_of, PLANNER, why)
        raise_alert(stores, STOPPED, AlertFacts(why, done="its users are planned for as everybody"), name)


def without(allocation: Allocation, names: Collection[str]) -> Allocation | None:
    """The allocation without these experiments; None if chance has no say any more."""
    left = tuple(split for split in allocation.splits if split.name not in names)
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
