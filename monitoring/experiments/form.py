"""The form in which people declare an experiment, as a file or in a browser, and the design it makes."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import date, datetime
from math import ceil
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from features.calendar import DAYPARTS
from features.errors import UsageError
from models.experiments.split import Arm, Split
from models.experiments.thompson import thompson_of, thompson_shares
from models.policy.params import PolicyParams
from models.usual_slots import USUAL
from monitoring.experiments.design import Design, Guardrail
from monitoring.experiments.metric_names import METRICS, metric_named
from monitoring.experiments.metrics import Metric

LAYER = "push"
"""Every experiment's layer: a push belongs to one experiment, so two of them never share a user."""
_NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$"
_PER_PUSH = {name for name, metric in METRICS.items() if metric.per is not None}
_POLICY = {one.name: one for one in fields(PolicyParams)}


class ArmForm(BaseModel):
    """One arm; what it does not say is as for everybody else."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(description="What plan rows and readouts call it.", pattern=_NAME)
    share: float = Field(description="Of the experiment's users; all arms' shares sum to 1.", gt=0, lt=1)
    holdout: bool = Field(
        False, description="Its pushes are planned and never sent, so that silence is what is compared."
    )
    model: str | None = Field(None, description="A version as kairos model list shows it; empty: champion.")
    policy: dict[str, Any] = Field(
        default_factory=dict, description='Policy that differs, such as {"max_per_day": 2}.'
    )
    timing: list[str] = Field(
        default_factory=list,
        description='Parts of the day it may push in, such as ["evening"]; ["usual"]: the one in which each '
        "user comes most, at everybody's best minute; empty: the best of all.",
    )
    copy_name: str | None = Field(
        None, alias="copy", description="A text that the gateway chooses by the arm's name."
    )


class ExperimentForm(BaseModel):
    """An experiment, declared before its first user is seen; the first arm is the control."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    name: str = Field(description="Never used before: users are drawn by it.", pattern=_NAME)
    hypothesis: str = Field(description="What will change, for whom, and why, in a sentence.", min_length=1)
    owner: str = Field(description="Who answers for it.", min_length=1)
    start: date = Field(description="The first plan date.")
    unit: Literal["user"] = Field("user", description="What is drawn: users, each for good.")
    share: float = Field(description="Of all users who may be pushed, held-out ones aside.", gt=0, le=1)
    arms: list[ArmForm] = Field(description="At least two; the first is the control.", alias="arm")
    primary: str = Field(
        description="The metric that decides: conversion, purchases, spend, open_rate or push_conversion."
    )
    secondaries: list[str] = Field(default_factory=list, description="Metrics told beside it.")
    guardrails: dict[str, float] = Field(
        default_factory=lambda: {"opt_out": 0.0, "complaint": 0.0},
        description="Metrics that stop it when they surely get worse by more than this, in their own units.",
    )
    mde: float = Field(description="Smallest effect worth finding, as a part of the control's mean.", gt=0)
    looks: list[int] = Field(description="Days after the start at which it is judged; the last ends it.")
    window_days: float = Field(3.0, description="So long after a user's first push its outcomes count.", gt=0)
    settling_days: float = Field(2.0, description="Waited besides for events that come late.", ge=0)
    allocation: Literal["fixed", "thompson"] = Field(
        "fixed",
        description="thompson: users come day by day, more of them to the arm that is likelier the best; the "
        "control's share stays. For a conversion, three arms or more, one look.",
    )
    power: float = Field(0.8, description="Chance of finding the smallest effect.", gt=0, lt=1)
    caps: dict[str, float] = Field(
        default_factory=dict, description='Metrics whose value a user counts at most, such as {"spend": 200}.'
    )


def read_form(text: str, name: str) -> ExperimentForm:
    """The form that a TOML file fills in.

    Args:
        name: The file's, for messages.

    Raises:
        UsageError: It is no TOML, or misses or misspells something; one line that names it.

    Examples:
        >>> read_form("share = 2", "e.toml")
        Traceback (most recent call last):
        ...
        features.errors.UsageError: e.toml: name is missing, and 8 more; see infra/experiment.toml.example.
    """
    try:
        return ExperimentForm.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{name} is no TOML: {error}; see infra/experiment.toml.example.") from None
    except ValidationError as error:
        raise UsageError(f"{name}: {_problem(error)}; see infra/experiment.toml.example.") from None


def design_of(form: ExperimentForm, starts_at: datetime, place: float = 0.0) -> Design:
    """The design that the form declares; `planned_units` is not known yet and stands at 1.

    Args:
        starts_at: The instant at which the first plan date begins.
        place: From where on it takes its share of the users.

    Raises:
        UsageError: Shares that do not sum to 1, an unknown metric, policy or part of the day, a rate of
            pushes in an arm that sends none.
    """
    arms = tuple(_arm(arm) for arm in form.arms)
    split = Split(form.name, LAYER, place, min(place + form.share, 1.0), arms)
    metrics = {name: metric_named(name, form.caps.get(name)) for name in (form.primary, *form.secondaries)}
    strange = sorted(set(form.caps) - {form.primary, *form.secondaries, *form.guardrails})
    if strange:
        raise UsageError(f"caps name {strange[0]!r}, which is not measured; drop it.")
    if form.primary in _PER_PUSH and any(arm.holdout for arm in form.arms):
        raise UsageError(
            f"primary {form.primary!r} is counted a push, and an arm sends none; measure conversion or spend."
        )
    is_adaptive = form.allocation == "thompson"
    if is_adaptive:
        split = _in_waves(split, metrics[form.primary], form)
    return Design(
        split,
        form.hypothesis,
        form.owner,
        metrics[form.primary],
        starts_at,
        tuple(form.looks),
        planned_units=1.0,
        mde_relative=form.mde,
        secondaries=tuple(metrics[name] for name in form.secondaries),
        guardrails=tuple(
            Guardrail(metric_named(name, form.caps.get(name)), tolerance)
            for name, tolerance in form.guardrails.items()
        ),
        window_days=form.window_days,
        settling_days=form.settling_days,
        power=form.power,
        is_adaptive=is_adaptive,
    )


def _in_waves(split: Split, primary: Metric, form: ExperimentForm) -> Split:
    """The split with one wave of users a day, as long as their windows are over by the last look.

    Raises:
        UsageError: Shares that have nowhere to move, or a metric that tells no posterior.
    """
    named = f"experiment {split.name!r} with allocation thompson"
    if len(split.arms) < 3:
        raise UsageError(f"{named} has one arm beside the control, must have two or more; add one.")
    if not (primary.is_flag and primary.higher_is_better):
        raise UsageError(
            f"{named} decides by {primary.name}, must by conversion: shares follow who converts."
        )
    nothing = [0] * (len(split.arms) - 1)
    thompson_shares(nothing, nothing, thompson_of(split))  # refuses a control that leaves too little to share
    waves = form.looks[-1] - ceil(form.window_days + form.settling_days) if form.looks else 0
    if waves < 2:
        raise UsageError(
            f"{named} has {max(waves, 0)} days on which users may come, must be >= 2; look later, or shorten "
            "window_days."
        )
    return replace(split, waves=waves)


def policy_of(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The overrides, each of them a policy's and of its type.

    Raises:
        UsageError: One is not, or no plan could obey it.

    Examples:
        >>> policy_of({"max_per_day": 2, "min_expected_value": 0})
        {'max_per_day': 2, 'min_expected_value': 0.0}
    """
    told: dict[str, Any] = {}
    for name, value in overrides.items():
        if name not in _POLICY or isinstance(_POLICY[name].default, tuple):
            known = ", ".join(one for one, field in _POLICY.items() if not isinstance(field.default, tuple))
            raise UsageError(f"policy {name!r} is unknown, must be one of {known}; correct the name.")
        wanted: type[Any] = type(_POLICY[name].default)
        number = wanted is float and isinstance(value, int) and not isinstance(value, bool)
        if not (number or type(value) is wanted):
            raise UsageError(f"policy {name} == {value!r}, must be {wanted.__name__}; correct it.")
        told[name] = wanted(value)
    try:
        PolicyParams(**told)
    except ValueError as error:
        raise UsageError(f"policy {error}") from None
    return told


def _arm(form: ArmForm) -> Arm:
    strange = [part for part in form.timing if part not in DAYPARTS]
    if strange and form.timing != [USUAL]:
        raise UsageError(
            f"arm {form.name!r}: timing {strange[0]!r}, must be of {', '.join(DAYPARTS)}, or {USUAL} alone; "
            "correct it."
        )
    policy = policy_of(form.policy)
    return Arm(
        form.name,
        form.share,
        not form.holdout,
        form.model,
        json.dumps(policy, sort_keys=True) if policy else None,
        ",".join(form.timing) or None,
        form.copy_name,
    )


def _problem(error: ValidationError) -> str:
    """The first problem in words, and how many more there are."""
    first = error.errors()[0]
    where = re.sub(r"\.(\d+)", lambda found: f" {int(found[1]) + 1}", ".".join(map(str, first["loc"])))
    match first["type"]:
        case "missing":
            words = f"{where} is missing"
        case "extra_forbidden":
            words = f"{where} is unknown"
        case _:
            found = str(first["input"])
            words = f"{where} == {found[:60]!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
    more = error.error_count() - 1
    return f"{words}, and {more} more" if more else words
