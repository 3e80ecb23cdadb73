"""Experiments from proposal to archive, each step with who and why; one that is proposed holds its place.

proposed -> waiting -> running -> stopped -> archived, or refused, from which the same name may be proposed
again as long as it never ran: arms are drawn by the name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, delete, insert, select, text, update

from features.errors import RefusedError, UsageError
from infra.database import Database
from infra.tables import experiment, experiment_arm, experiment_event

Status = Literal["proposed", "refused", "waiting", "running", "stopped", "archived"]
IN_THE_WAY: tuple[Status, ...] = ("proposed", "waiting", "running")
"""Experiments of these states hold their users."""
_LOCK = 0x65787065  # "expe": whoever changes an experiment's state waits for whoever else does


@dataclass(frozen=True)
class StoredExperiment:
    """An experiment as it stands.

    Attributes:
        design: As JSON.
        arms: Arm -> what it plans with; the model version is pinned once it runs.
        words: What its power was found to be, or why it was refused.
        decision, winner: What it was stopped with.
        report: Where its page is archived.
    """

    name: str
    status: Status
    hypothesis: str
    owner: str
    design: Mapping[str, Any]
    starts_at: datetime
    ends_at: datetime
    words: str
    arms: Mapping[str, Mapping[str, Any]]
    created_at: datetime
    approved_by: str | None = None
    approved_at: datetime | None = None
    stopped_at: datetime | None = None
    decision: str | None = None
    winner: str | None = None
    report: str | None = None

    @property
    def waits_for_shipping(self) -> bool:
        """Whether it is over and has a winner that somebody must ship, or not."""
        return self.status == "stopped" and self.winner is not None


@dataclass(frozen=True)
class ProposedArm:
    """An arm of a proposal."""

    name: str
    share: float
    treatment: Mapping[str, Any]


@dataclass(frozen=True)
class Proposal:
    """What is asked for; the first arm is the control."""

    name: str
    hypothesis: str
    owner: str
    design: Mapping[str, Any]
    starts_at: datetime
    ends_at: datetime
    arms: tuple[ProposedArm, ...]
    words: str


Objection = Callable[[Sequence[StoredExperiment]], str]
"""Why an experiment must not be, given the others that hold users; '' if it may."""


class ExperimentStore:
    """Keeps experiments; a step and its record are one transaction, and a step again changes nothing."""

    def __init__(self, database: Database) -> None:
        """Experiments kept in `database`, migrated."""
        self._database = database

    def propose(self, proposal: Proposal, who: str, objection: Objection) -> StoredExperiment:
        """The experiment, proposed; refused if there is an objection, which is then its `words`.

        Raises:
            RefusedError: One of that name has been approved, or is proposed otherwise.
        """
        with self._database.transaction() as connection:
            _alone(connection)
            known = _find(connection, proposal.name)
            if known is not None and known.status == "proposed" and known.design == proposal.design:
                return known
            if known is not None and known.status != "refused":
                raise RefusedError(
                    f"an experiment {proposal.name!r} is {known.status} already, must be new; take another "
                    "name, or end that with kairos experiment stop."
                )
            why = objection(_of(connection, IN_THE_WAY))
            status = "refused" if why else "proposed"
            connection.execute(delete(experiment).where(experiment.c.experiment == proposal.name))
            connection.execute(insert(experiment).values(**_row(proposal, status, why or proposal.words)))
            connection.execute(insert(experiment_arm), _arm_rows(proposal))
            _record(connection, proposal.name, status, who, why or proposal.words)
            return _required(connection, proposal.name)

    def approve(self, name: str, who: str, why: str, objection: Objection) -> StoredExperiment:
        """The experiment, waiting for its first plan date.

        Raises:
            RefusedError: It is not proposed, or something is in its way by now.
            UsageError: There is none of that name.
        """
        with self._database.transaction() as connection:
            _alone(connection)
            known = _required(connection, name)
            if known.status in ("waiting", "running"):
                return known
            if known.status != "proposed":
                raise RefusedError(
                    f"experiment {name!r} is {known.status}, must be proposed; launch it under another name."
                )
            others = [one for one in _of(connection, IN_THE_WAY) if one.name != name]
            if problem := objection(others):
                raise RefusedError(f"experiment {name!r}: {problem}.")
            _put(connection, name, status="waiting", approved_by=who, approved_at=text("now()"))
            _record(connection, name, "waiting", who, why)
            return _required(connection, name)

    def begin(
        self,
        name: str,
        pinned: Mapping[str, str],
        who: str,
        why: str,
        design: Mapping[str, Any],
        starts_at: datetime,
        ends_at: datetime,
    ) -> StoredExperiment:
        """The experiment, running; its arms plan with these model versions until it stops.

        Args:
            pinned: Arm -> model version.
            design, starts_at, ends_at: As it begins: later than declared, if it was approved late.
        """
        with self._database.transaction() as connection:
            _alone(connection)
            known = _required(connection, name)
            if known.status != "waiting":
                return known
            for arm, version in pinned.items():
                treatment = {**known.arms[arm], "model_version": version}
                same = (experiment_arm.c.experiment == name, experiment_arm.c.arm == arm)
                connection.execute(update(experiment_arm).where(*same).values(treatment=treatment))
            times = {"starts_at": starts_at, "ends_at": ends_at}
            _put(connection, name, status="running", design=dict(design), **times)
            _record(connection, name, "running", who, why)
            return _required(connection, name)

    def stop(
        self, name: str, decision: str, winner: str | None, at: datetime, who: str, why: str
    ) -> StoredExperiment:
        """The experiment, stopped with this decision; one that never ran is refused instead.

        One that has stopped with a winner, which nobody has shipped yet, may still be decided otherwise.
        """
        with self._database.transaction() as connection:
            _alone(connection)
            known = _required(connection, name)
            if known.status in ("archived", "refused"):
                return known
            if known.status == "stopped":
                if not known.waits_for_shipping or decision == known.decision:
                    return known
                at = known.stopped_at or at
            status = "stopped" if known.status in ("running", "stopped") else "refused"
            _put(connection, name, status=status, decision=decision, winner=winner, stopped_at=at)
            _record(connection, name, status, who, f"{decision}: {why}")
            return _required(connection, name)

    def extend(
        self, name: str, design: Mapping[str, Any], ends_at: datetime, who: str, why: str
    ) -> StoredExperiment:
        """The experiment with a later end.

        Raises:
            RefusedError: It does not run.
        """
        with self._database.transaction() as connection:
            _alone(connection)
            known = _required(connection, name)
            if known.status != "running":
                raise RefusedError(f"experiment {name!r} is {known.status}, must be running to be extended.")
            _put(connection, name, design=dict(design), ends_at=ends_at)
            _record(connection, name, "extended", who, why)
            return _required(connection, name)

    def reallocate(self, name: str, design: Mapping[str, Any], who: str, why: str) -> StoredExperiment:
        """The running experiment with the shares of a further wave; one that does not run stays as it is."""
        with self._database.transaction() as connection:
            _alone(connection)
            known = _required(connection, name)
            if known.status != "running" or known.design == design:
                return known
            _put(connection, name, design=dict(design))
            _record(connection, name, "reallocated", who, why)
            return _required(connection, name)

    def note(self, name: str, what: str, who: str, why: str) -> None:
        """Nothing; on record is what somebody did about the experiment besides a step of its own."""
        with self._database.transaction() as connection:
            _required(connection, name)
            _record(connection, name, what, who, why)

    def archive(self, name: str, report: str, who: str) -> StoredExperiment:
        """The stopped experiment, archived with where its page lies; for good."""
        with self._database.transaction() as connection:
            _alone(connection)
            known = _required(connection, name)
            if known.status != "stopped":
                return known
            _put(connection, name, status="archived", report=report)
            _record(connection, name, "archived", who, report)
            return _required(connection, name)

    def read(self, name: str) -> StoredExperiment:
        """The experiment of that name.

        Raises:
            UsageError: There is none.
        """
        with self._database.transaction() as connection:
            return _required(connection, name)

    def list_of(self, *statuses: Status) -> list[StoredExperiment]:
        """The experiments in these states, or all; by start and name."""
        with self._database.transaction() as connection:
            return _of(connection, statuses)

    def events(self, name: str) -> list[Mapping[str, Any]]:
        """(what, who, why, at) of everything that was done to it, in order."""
        columns = (experiment_event.c.what, experiment_event.c.who, experiment_event.c.why)
        query = select(*columns, experiment_event.c.at).where(experiment_event.c.experiment == name)
        with self._database.transaction() as connection:
            rows = connection.execute(query.order_by(experiment_event.c.event))
            return [dict(row._mapping) for row in rows]


def _alone(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def _row(proposal: Proposal, status: str, words: str) -> dict[str, Any]:
    return {
        "experiment": proposal.name,
        "hypothesis": proposal.hypothesis,
        "status": status,
        "design": dict(proposal.design),
        "starts_at": proposal.starts_at,
        "ends_at": proposal.ends_at,
        "owner": proposal.owner,
        "words": words,
    }


def _arm_rows(proposal: Proposal) -> list[dict[str, Any]]:
    return [
        {
            "experiment": proposal.name,
            "arm": arm.name,
            "share": arm.share,
            "control": number == 0,
            "treatment": dict(arm.treatment),
        }
        for number, arm in enumerate(proposal.arms)
    ]


def _put(connection: Connection, name: str, **values: Any) -> None:
    connection.execute(update(experiment).where(experiment.c.experiment == name).values(**values))


def _record(connection: Connection, name: str, what: str, who: str, why: str) -> None:
    connection.execute(insert(experiment_event).values(experiment=name, what=what, who=who, why=why))


def _of(connection: Connection, statuses: Collection[str]) -> list[StoredExperiment]:
    query = select(experiment).order_by(experiment.c.starts_at, experiment.c.experiment)
    if statuses:
        query = query.where(experiment.c.status.in_(statuses))
    rows = connection.execute(query).all()
    arms: dict[str, dict[str, Any]] = {}
    for arm in connection.execute(select(experiment_arm)):
        arms.setdefault(arm.experiment, {})[arm.arm] = arm.treatment
    return [_stored(dict(row._mapping), arms.get(row.experiment, {})) for row in rows]


def _find(connection: Connection, name: str) -> StoredExperiment | None:
    row = connection.execute(select(experiment).where(experiment.c.experiment == name)).first()
    if row is None:
        return None
    arms = connection.execute(select(experiment_arm).where(experiment_arm.c.experiment == name))
    return _stored(dict(row._mapping), {arm.arm: arm.treatment for arm in arms})


def _required(connection: Connection, name: str) -> StoredExperiment:
    found = _find(connection, name)
    if found is None:
        told = ", ".join(connection.execute(select(experiment.c.experiment)).scalars()) or "none yet"
        raise UsageError(
            f"experiment {name!r} is unknown, must be one of: {told}; see kairos experiment list."
        )
    return found


def _stored(row: Mapping[str, Any], arms: Mapping[str, Mapping[str, Any]]) -> StoredExperiment:
    values = {name: value for name, value in row.items() if name != "experiment"}
    return StoredExperiment(name=row["experiment"], arms=arms, **values)
