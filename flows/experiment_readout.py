"""Flow `readout`: every running experiment judged as of a moment; what does harm is stopped at once."""

from __future__ import annotations

from datetime import datetime, timedelta
from math import isfinite
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from features.errors import KairosError
from flows.alerts import raise_alert, recovered
from flows.experiment_data import exposures_of, outcomes_of
from flows.experiment_designs import design_in
from flows.experiment_launch import arm_words
from flows.experiment_planning import STOPPED, split_in
from flows.materialize import resolved_as_of
from flows.progress import step
from flows.run_name import run_name
from flows.task_policy import check_deadline
from flows.wiring import Stores, open_stores
from infra.experiment_store import StoredExperiment
from infra.sources import reality_note
from monitoring.alert_words import AlertFacts
from monitoring.experiments.as_json import look_of_json, readout_as_json
from monitoring.experiments.design import Design
from monitoring.experiments.exploration import SliceEffect, slice_effects
from monitoring.experiments.readout import judged
from monitoring.experiments.report_page import experiment_page
from monitoring.experiments.result import Effect, Readout
from monitoring.experiments.unit_table import UnitTable, unit_table

REPORTS = "experiments"
READOUT = "readout"
"""Who stopped an experiment, when it was no person."""
MISMATCH = "experiment_mismatch"
DECIDED = "experiment_decided"
OVERTIME = timedelta(days=14)
"""So long after its last look was due an experiment that cannot be judged waits for units or a person."""
_ENDS = ("ship", "keep", "stop for harm")


@flow(name="readout", flow_run_name=run_name, timeout_seconds=2 * 3600, persist_result=False)
def readout(as_of: datetime | None = None) -> dict[str, str]:
    """Judge every running experiment by what is known; one that is decided ends with that.

    It ends at once where an arm does harm, and else at the planned look that decides, the last at the latest:
    from the next plan on its users are planned for as everybody, whoever is awake. Only shipping a winner
    waits for a person.

    Args:
        as_of: Knowledge cut-off.

    Returns:
        Experiment -> decision: continue, ship, keep, extend, stop for harm or blocked.
    """
    check_deadline("readout")
    stores = open_stores()
    as_of = resolved_as_of(stores, as_of)
    running = [one.name for one in stores.experiments.list_of("running") if one.starts_at < as_of]
    told, failed = {}, []
    for name in running:
        try:
            told[name] = read_out(name, as_of)
        except Exception as error:  # the others must still be stopped where they do harm
            failed.append(f"{name}: {type(error).__name__}: {error}")
    for one in stores.experiments.list_of("stopped"):
        if not one.waits_for_shipping:
            write_page(stores, one.name)  # of one that broke while it planned, or whose run was cut off
    if failed:
        raise KairosError(f"not read out, the others were: {'; '.join(failed)}")
    return told


@task(name="read out", task_run_name="read out {name}", cache_policy=NO_CACHE)
def read_out(name: str, as_of: datetime) -> str:
    """The decision as of that moment; the readout is stored, and so is its page."""
    stores = open_stores()
    one = stores.experiments.read(name)
    design = design_in(one)
    with step("readout") as current:
        exposures = exposures_of(stores, design, as_of)
        if exposures.empty:
            current.skip(f"{name}: nobody is assigned yet")
            return "keep" if _ended_in_overtime(stores, design, as_of, "nobody was assigned") else "continue"
        outcomes = outcomes_of(stores, exposures, design.starts_at, as_of)
        units = exposures.assign(slot=exposures["slot"].fillna("silent"))
        table = unit_table(design, units, outcomes, as_of, slices=("slot",))
        looks = [look_of_json(told["readout"]) for told in stores.readouts.read(name)]
        found = judged(design, table, as_of, [look for look in looks if look is not None])
        slices = () if found.mismatch.is_mismatch else _slices(one, design, table)
        told = {
            **readout_as_json(found),
            "arms": _arms(one, design, exposures, as_of),
            "slices": [{key: _finite(value) for key, value in vars(slice_).items()} for slice_ in slices],
        }
        rows = [_row(effect) for effect in found.effects]
        stores.readouts.replace(name, as_of, found.decision, found.winner, told, rows)
        current.say(f"{name}: {found.decision}; {found.reasons[0]}")
    if found.decision in _ENDS:
        stores.experiments.stop(name, found.decision, found.winner, as_of, READOUT, found.reasons[0])
    if found.decision in _ENDS or not _ended_in_overtime(stores, design, as_of, found.reasons[0]):
        _alert(stores, design, found)
    path = write_page(stores, name)
    create_markdown_artifact(
        readout_markdown(found, path, reality_note(stores.settings.source)),
        key="experiment-readout",
        description=f"{name}: {found.decision}",
    )
    return found.decision


def _slices(one: StoredExperiment, design: Design, table: UnitTable) -> tuple[SliceEffect, ...]:
    """Effects by slot of the first push, where all arms plan alike: else slots are an effect themselves."""
    ways = {(arm.model_version, arm.policy, arm.timing) for arm in split_in(one).arms}
    return slice_effects(design, table, design.primary) if len(ways) == 1 else ()


def write_page(stores: Stores, name: str, is_concluded: bool = False) -> Path:
    """Where the experiment's page, as it stands, lies; the page of a stopped one is its archive.

    What is archived is never written again; a winner is waited for until it is shipped or dropped.
    """
    one = stores.experiments.read(name)
    if one.report is not None:
        return Path(one.report)
    told = [found["readout"] for found in stores.readouts.read(name)]
    source = reality_note(stores.settings.source) or f"data: {stores.settings.source}"
    html = experiment_page(design_in(one), one.status, told, stores.experiments.events(name), source)
    path = stores.reports.write_html(REPORTS, name, html)
    if not one.waits_for_shipping or is_concluded:
        stores.experiments.archive(name, str(path), READOUT)
    return path


def _ended_in_overtime(stores: Stores, design: Design, as_of: datetime, why: str) -> bool:
    """Whether an experiment that waits for what does not come has given its users back now."""
    if as_of < design.ends_at + OVERTIME:
        return False
    name, words = design.split.name, f"{OVERTIME.days} days after its last look was due: {why}"
    stores.experiments.stop(name, "keep", None, as_of, READOUT, words)
    recovered(stores, MISMATCH, name)
    raise_alert(stores, DECIDED, AlertFacts(words, done="it is over, nothing was shown"), name)
    return True


def readout_markdown(found: Readout, path: Path, note: str = "") -> str:
    """The readout as an artifact; `note` comes first."""
    winner = f": {found.winner}" if found.winner else ""
    lines = [
        *((f"**{note}**", "") if note else ()),
        f"**{found.experiment}** as of {found.as_of:%Y-%m-%d %H:%M} UTC: **{found.decision}{winner}**",
        "",
    ]
    lines += [f"- {why}" for why in found.reasons]
    lines += ["", f"- arms: {found.mismatch.words}", f"- [the whole page](file://{path})"]
    return "\n".join(lines)


def _alert(stores: Stores, design: Design, found: Readout) -> None:
    name = found.experiment
    if found.decision == "blocked":
        done = "no effect is told; the experiment goes on planning"
        raise_alert(stores, MISMATCH, AlertFacts(found.mismatch.words, done=done), name)
    else:
        recovered(stores, MISMATCH, name)
    freed = "its users are planned for as everybody from the next plan on"
    match found.decision:
        case "stop for harm":
            done = f"the experiment is stopped; {freed}"
            raise_alert(
                stores, STOPPED, AlertFacts(found.reasons[0], "; ".join(found.reasons[1:3]), done), name
            )
        case "ship":
            words = f"{found.winner} won: {found.reasons[0]}"
            done = f"{freed}; ship the winner with kairos experiment stop {name}, or drop it with --as keep"
            raise_alert(stores, DECIDED, AlertFacts(words, done=done), name)
        case "keep":
            raise_alert(stores, DECIDED, AlertFacts(found.reasons[0], done=f"it is over; {freed}"), name)
        case "extend":
            until = design.ends_at + OVERTIME
            done = f"it goes on until {until:%Y-%m-%d} at most; prolong it, or end it with --as keep"
            raise_alert(stores, DECIDED, AlertFacts(found.reasons[0], done=done), name)


def _arms(
    one: StoredExperiment, design: Design, exposures: pd.DataFrame, as_of: datetime
) -> list[dict[str, Any]]:
    """Who saw what: each arm's users, those of them that are found, and their first pushes."""
    told = []
    for arm in split_in(one).arms:
        mine = exposures[exposures["arm"] == arm.name]
        pushes = mine[mine["push_id"].notna()]
        sent = pushes["exposed_at"].notna() & (pushes["exposed_at"] < as_of) & ~pushes["holdout"].eq(True)
        told.append(
            {
                "arm": arm.name,
                "plans": arm_words(arm),
                "assigned": len(mine),
                "found": int((mine["exposed_at"] < as_of).sum()),
                "pushes": len(pushes),
                "sent": int(sent.sum()),
            }
        )
    return told


def _row(one: Effect) -> dict[str, Any]:
    """The effect as a row of `experiment_readout`."""
    mean = one.control_mean
    return {
        "metric": one.metric,
        "arm": one.arm,
        "users": one.units[0],
        "mean": _finite(mean + one.effect),
        "lift_relative": _finite(one.lift_relative),
        "lift_low": _finite(one.low / mean) if mean else None,
        "lift_high": _finite(one.high / mean) if mean else None,
        "p_value": _finite(one.p_value),
        "verdict": one.verdict,
        "evidence": {"role": one.role, "words": one.words, "interval": one.interval},
    }


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not isfinite(value) else value
