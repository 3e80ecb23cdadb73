"""How experiments stand that say something of a challenger: those that run, and those that have tried it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flows.experiment_designs import design_in
from infra.experiment_readouts import ExperimentReadouts
from infra.experiment_store import ExperimentStore, StoredExperiment
from models.gate import FAIL, PASS, WARN, ExperimentHealth

_READ_OUT_WITHIN = timedelta(hours=48)
"""A younger experiment may not have been read out yet: that happens at night."""
_OVER_WITH = {"stop for harm": FAIL, "broken": WARN, "keep": WARN}
"""What a stop says of the versions that its other arms planned with; any other says nothing against them."""


def experiment_health(
    experiments: ExperimentStore, readouts: ExperimentReadouts, version: str, as_of: datetime
) -> tuple[ExperimentHealth, ...]:
    """One entry an experiment that runs, and one for each that was stopped with `version` in another arm.

    Args:
        version: The challenger.
        as_of: What the data knows; readouts after it do not count.
    """
    running = [one for one in experiments.list_of("running") if one.starts_at < as_of]
    over = experiments.list_of("stopped", "archived")
    found = [_of_running(one, readouts.read(one.name), as_of) for one in running]
    return (*found, *(_of_stopped(one) for one in over if _says_something(one, version)))


def _of_running(
    one: StoredExperiment, readouts: Sequence[Mapping[str, Any]], as_of: datetime
) -> ExperimentHealth:
    told = [row for row in readouts if row["as_of"] <= as_of]
    if not told:
        is_young = as_of - one.starts_at < _READ_OUT_WITHIN
        return ExperimentHealth(one.name, PASS if is_young else None, "it has just begun" if is_young else "")
    newest = told[-1]
    verdict = FAIL if newest["decision"] in ("blocked", "stop for harm") else PASS
    age = (as_of - newest["as_of"]).total_seconds() / 3600
    return ExperimentHealth(one.name, verdict, newest["readout"]["reasons"][0], age)


def _says_something(one: StoredExperiment, version: str) -> bool:
    """Whether it tried the version beside another one in the control, and ended against it."""
    if one.decision not in _OVER_WITH:
        return False
    control = one.arms[design_in(one).split.control.name].get("model_version")
    tried = {told.get("model_version") for told in one.arms.values()} - {control}
    return version in tried


def _of_stopped(one: StoredExperiment) -> ExperimentHealth:
    assert one.decision is not None  # it says something
    words = f"ended with {one.decision!r}, and had this version in an arm"
    return ExperimentHealth(one.name, _OVER_WITH[one.decision], words)
