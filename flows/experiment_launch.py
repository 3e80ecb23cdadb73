"""Experiments proposed and approved: power from past data, places that are free, nothing that spoils another.

As a flow it waits, suspended, for a person in Prefect's UI to say yes; the command `kairos experiment
approve` says the same without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.flow_runs import suspend_flow_run
from prefect.input import RunInput
from prefect.states import Completed, State
from pydantic import Field

from features.calendar import local_midnight
from features.errors import RefusedError, UsageError
from flows.experiment_data import past_of_design
from flows.experiment_designs import design_in
from flows.materialize import resolved_as_of
from flows.moments import local_date, shop_timezone
from flows.wiring import Stores, open_stores
from infra.experiment_store import IN_THE_WAY, Proposal, ProposedArm, StoredExperiment
from models.experiments.split import Arm
from monitoring.experiments.as_json import design_as_json
from monitoring.experiments.design import Design
from monitoring.experiments.form import ExperimentForm, design_of
from monitoring.experiments.overlap import largest_free_share, overlap_words, placed
from monitoring.experiments.power import check_power

_APPROVAL_SECONDS = 14 * 86_400


class ExperimentApproval(RunInput):
    """What an approver answers."""

    who: str = Field(description="Your name, kept on record.", min_length=1)
    answer: Literal["approve", "refuse"] = Field("approve", description="May it start on its plan date?")
    why: str = Field("", description="Kept on record.")


@flow(name="launch_experiment", flow_run_name="launch {experiment.name}", persist_result=True)
def launch_experiment(experiment: ExperimentForm, as_of: datetime | None = None) -> State[str]:
    """Propose an experiment, and start it on its plan date once a named person has approved it.

    Refuses what cannot find its smallest effect or gets in another's way, with the nearest design that works.
    Then it waits, suspended: press Resume in this page to approve or refuse.

    Args:
        experiment: What is tried, on whom and how it is judged.
        as_of: Knowledge cut-off of the power; now by default.
    """
    stores = open_stores()
    try:
        found = _launched(stores, experiment, resolved_as_of(stores, as_of))
    except (RefusedError, UsageError) as refused:  # an answer, and no failure that on-call should hear of
        create_markdown_artifact(str(refused), key="experiment-proposal", description="Refused")
        return Completed(name="Refused", message=str(refused))
    return Completed(message=f"{found.name} is {found.status}")


def _launched(stores: Stores, experiment: ExperimentForm, as_of: datetime) -> StoredExperiment:
    """The experiment, approved; comes here again from the start once it is resumed."""
    found = propose(stores, experiment, as_of, experiment.owner)
    if found.status == "proposed":
        words = proposal_markdown(found, shop_timezone(stores.settings))
        create_markdown_artifact(
            words, key="experiment-proposal", description=f"{found.name} waits for a yes"
        )
        answer = suspend_flow_run(
            wait_for_input=ExperimentApproval.with_initial_data(description=words),
            timeout=_APPROVAL_SECONDS,
            key="approval",
        )
        found = answered(stores, found.name, answer)
    return found


def answered(stores: Stores, name: str, answer: ExperimentApproval) -> StoredExperiment:
    """The experiment after an approver's answer.

    Raises:
        RefusedError: The answer was no.
    """
    if answer.answer == "approve":
        return approve(stores, name, answer.who, answer.why)
    why = f"refused by {answer.who}: {answer.why or 'no reason given'}"
    stores.experiments.stop(name, "refused", None, stores.experiments.read(name).starts_at, answer.who, why)
    raise RefusedError(f"experiment {name!r} was {why}")


def propose(stores: Stores, form: ExperimentForm, as_of: datetime, who: str) -> StoredExperiment:
    """The experiment, proposed and waiting for a yes; as it stands where this very form was proposed before.

    Raises:
        RefusedError: It is underpowered, or gets in another's way; with the nearest design that works.
        UsageError: The form is wrong.
    """
    zone = shop_timezone(stores.settings)
    design = design_of(form, local_midnight(form.start, zone))
    known = {one.name: one for one in stores.experiments.list_of()}.get(form.name)
    if known is not None and known.status in IN_THE_WAY and _is_same(design, known):
        return known
    if form.start < (today := local_date(as_of, zone)):
        raise UsageError(f"start == {form.start}, must not be before {today}; choose a later plan date.")
    for arm in design.split.arms:
        if arm.model_version is not None:
            stores.registry.read(arm.model_version)
    declared = [design_in(one) for one in stores.experiments.list_of(*IN_THE_WAY)]
    design = placed(design, declared)
    past = past_of_design(stores, design, as_of)
    power = check_power(design, past, largest_free_share(design, declared))
    design = replace(design, planned_units=max(power.units, 1.0))

    def objection(others: Sequence[StoredExperiment]) -> str:
        overlap = overlap_words(design, [design_in(one) for one in others], zone=zone)
        return "; ".join(filter(None, (overlap, "" if power.is_enough else power.words)))

    found = stores.experiments.propose(_proposal(form, design, power.words), who, objection)
    if found.status == "refused":
        raise RefusedError(f"experiment {found.name!r} is refused: {found.words}.")
    return found


def approve(stores: Stores, name: str, who: str, why: str) -> StoredExperiment:
    """The experiment, waiting for its first plan date.

    Raises:
        RefusedError: It is not proposed, or something is in its way by now.
    """
    if not who.strip():
        raise UsageError("an approval has no name, must have one; say who approves.")
    design, zone = design_in(stores.experiments.read(name)), shop_timezone(stores.settings)

    def objection(others: Sequence[StoredExperiment]) -> str:
        return overlap_words(design, [design_in(one) for one in others], zone=zone)

    return stores.experiments.approve(name, who.strip(), why, objection)


def proposal_markdown(one: StoredExperiment, zone: str) -> str:
    """The proposal as an approver reads it, dates in that zone."""
    design = design_in(one)
    lines = [
        f"**{one.name}** by {one.owner}: {one.hypothesis}",
        "",
        f"- from {local_date(one.starts_at, zone)}, looks after days {', '.join(map(str, design.look_days))}",
        f"- {design.split.share:.1%} of the users",
        f"- {one.words}",
        f"- decides: {design.primary.name}; guardrails: "
        + (", ".join(guard.metric.name for guard in design.guardrails) or "none"),
        "",
        "| arm | share | plans |",
        "|---|---:|---|",
        *(f"| {arm.name} | {arm.share:.0%} | {arm_words(arm)} |" for arm in design.split.arms),
    ]
    return "\n".join(lines)


def arm_words(arm: Arm) -> str:
    """What is different in an arm."""
    told = [
        f"model {arm.model_version}" if arm.model_version else "",
        f"policy {arm.policy}" if arm.policy else "",
        f"only {arm.timing}" if arm.timing else "",
        f"copy {arm.copy}" if arm.copy else "",
        "" if arm.is_sent else "planned, never sent",
    ]
    return ", ".join(filter(None, told)) or "as everybody"


def _is_same(design: Design, known: StoredExperiment) -> bool:
    """Whether the form that is asked for is the one that stands, wherever it was placed since."""
    stood = design_in(known)
    split = replace(
        design.split,
        starts_at=stood.split.starts_at,
        ends_at=stood.split.ends_at,
        wave_shares=stood.split.wave_shares,
    )
    same = replace(design, split=split, planned_units=stood.planned_units, starts_at=stood.starts_at)
    return same == stood


def _proposal(form: ExperimentForm, design: Design, words: str) -> Proposal:
    arms = tuple(
        ProposedArm(
            arm.name,
            arm.share,
            {
                name: value
                for name in ("is_sent", "model_version", "policy", "timing", "copy")
                if (value := getattr(arm, name)) is not None
            },
        )
        for arm in design.split.arms
    )
    return Proposal(
        form.name,
        form.hypothesis,
        form.owner,
        design_as_json(design),
        design.starts_at,
        design.ends_at,
        arms,
        words,
    )
