"""The end of an experiment: shipped through the gate, kept as it was, or prolonged; archived for good."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from features.errors import RefusedError
from flows.alerts import recovered
from flows.experiment_designs import design_in
from flows.experiment_readout import DECIDED, write_page
from flows.wiring import Stores
from infra.experiment_store import StoredExperiment
from models.experiments.split import Arm
from monitoring.experiments.as_json import design_as_json

End = Literal["ship", "keep"]
_DECIDED = ("ship", "keep", "stop for harm")


def stop_experiment(
    stores: Stores, name: str, end: End | None, at: datetime, who: str, why: str
) -> tuple[StoredExperiment, str]:
    """(the experiment, archived; what follows for the platform, in words).

    Args:
        end: What to do; None does what the newest readout decided.

    Raises:
        RefusedError: The plan has decided nothing, or not what is asked for; or the gate says no.
    """
    one = stores.experiments.read(name)
    if one.status == "stopped" and not one.waits_for_shipping:
        write_page(stores, name)
        return stores.experiments.read(name), "it is over since then"
    if one.status in ("archived", "refused"):
        return one, f"it is {one.status} since then"
    if one.status in ("proposed", "waiting"):
        found = stores.experiments.stop(name, "withdrawn", None, at, who, why)
        return found, "it never ran; its users are free"
    readouts = stores.readouts.read(name)
    newest = readouts[-1] if readouts else None
    decision, winner = _decision(name, end, newest)
    words = "everything stays as it was"
    if winner is not None:
        # What was declared, not what was pinned: a policy's victory moves no model.
        words = _ship(stores, one, design_in(one).split.arm(winner), who, why)
    stores.experiments.stop(name, decision, winner, at, who, why)
    if one.status == "stopped" or winner is not None:
        stores.experiments.note(name, "not shipped" if winner is None else "shipped", who, why)
    write_page(stores, name, is_concluded=True)
    recovered(stores, DECIDED, name)
    return stores.experiments.read(name), words


def extend_experiment(stores: Stores, name: str, days: int, who: str, why: str) -> StoredExperiment:
    """The experiment with one more look so many days after the last; its boundaries keep their promise.

    Raises:
        RefusedError: The plan has decided already, so that going on would be looking until it pleases.
    """
    readouts = stores.readouts.read(name)
    if readouts and readouts[-1]["decision"] in _DECIDED:
        raise RefusedError(
            f"experiment {name!r} has decided: {readouts[-1]['decision']}; stop it, or launch another."
        )
    design = design_in(stores.experiments.read(name)).extended(days)
    recovered(stores, DECIDED, name)
    return stores.experiments.extend(name, design_as_json(design), design.ends_at, who, why)


def _decision(name: str, end: End | None, newest: dict[str, Any] | None) -> tuple[str, str | None]:
    """(what it ends with, the arm that won)."""
    decided = "no readout yet" if newest is None else newest["decision"]
    if newest is not None and decided in _DECIDED and end in (None, decided):
        return decided, newest["winner"]
    if end == "keep":
        return "keep", None
    asked = "ends by itself" if end is None else f"may {end}"
    why = "" if newest is None else f": {newest['readout']['reasons'][0]}"
    raise RefusedError(
        f"experiment {name!r} {asked} only if its plan says so, found {decided}{why}; wait for the next "
        "look, or end it with --as keep."
    )


def _ship(stores: Stores, one: StoredExperiment, arm: Arm, who: str, why: str) -> str:
    """What follows from shipping the arm; a model goes through the gate.

    Raises:
        RefusedError: The gate said no to the version, or nothing.
    """
    told = []
    champion = stores.registry.champion()
    if arm.model_version is not None and arm.model_version != champion:
        gate = stores.registry.latest_gate(arm.model_version)
        if gate is None or not gate["promote"]:
            said = "never looked at it" if gate is None else f"said no: {'; '.join(gate['reasons'])}"
            raise RefusedError(
                f"experiment {one.name!r} was won by {arm.model_version}, but the gate {said}; ask it with "
                "kairos cycle, or end the experiment with --as keep."
            )
        because = f"won experiment {one.name}: {why}"
        event = stores.registry.move_alias("champion", arm.model_version, who, because)
        told.append(f"champion: {event.to_version} (before: {event.from_version})")
    if arm.policy:
        told.append(f"set the policy for everybody: {arm.policy}")
    if arm.timing:
        told.append(f"push only in: {arm.timing}")
    if arm.copy:
        told.append(f"send the text {arm.copy} to everybody")
    if not arm.is_sent:
        told.append("silence won: these pushes are better not sent")
    return "; ".join(told) or "the winner plans as everybody does"
