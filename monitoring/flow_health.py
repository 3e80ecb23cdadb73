"""Which flows are in trouble: judged by each flow's newest finished run, and by runs that wait too long."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from monitoring.alert_words import AlertFacts

RunState = Literal["completed", "skipped", "failed", "crashed", "waiting", "running", "cancelled"]
FLOW_KINDS = ("flow_failed", "flow_crashed", "flow_late")


@dataclass(frozen=True)
class FlowRunSeen:
    """A run of a deployed flow.

    Attributes:
        due_at: When it should have started.
        ended_at: None while it has not ended.
        message: What its state says.
        link: Where to look at it.
    """

    flow: str
    state: RunState
    due_at: datetime
    ended_at: datetime | None = None
    message: str = ""
    link: str = ""


@dataclass(frozen=True)
class FlowVerdict:
    """Whether a flow has a trouble of this kind; `facts` of the trouble, None where it has not."""

    flow: str
    kind: str
    facts: AlertFacts | None


@dataclass(frozen=True)
class FlowHealthParams:
    """How long a run may wait: one flow runs at a time, and a night's training takes its time."""

    late_minutes: float = 60.0


def judge_runs(
    runs: Sequence[FlowRunSeen], now: datetime, params: FlowHealthParams | None = None
) -> list[FlowVerdict]:
    """One verdict a flow and kind, flows by name; a flow without a finished run has no verdict on its end.

    Examples:
        >>> from datetime import UTC
        >>> due = datetime(2026, 11, 27, 2, tzinfo=UTC)
        >>> run = FlowRunSeen("cycle", "crashed", due, due, "out of memory")
        >>> [(one.kind, one.facts is not None) for one in judge_runs([run], due)]
        [('flow_failed', False), ('flow_crashed', True), ('flow_late', False)]
    """
    params = params or FlowHealthParams()
    by_flow: dict[str, list[FlowRunSeen]] = defaultdict(list)
    for run in runs:
        by_flow[run.flow].append(run)
    found = []
    for flow in sorted(by_flow):
        found += _of_ends(flow, by_flow[flow])
        found.append(_of_waiting(flow, by_flow[flow], now, params))
    return found


def _of_ends(flow: str, runs: Sequence[FlowRunSeen]) -> list[FlowVerdict]:
    # A run that was skipped for being late says nothing of the flow; nor does one that a person cancelled.
    ended = [run for run in runs if run.ended_at and run.state in ("completed", "failed", "crashed")]
    if not ended:
        return []
    newest = max(ended, key=lambda run: (run.ended_at or run.due_at, run.due_at))
    verdicts = []
    for kind, state in (("flow_failed", "failed"), ("flow_crashed", "crashed")):
        facts = None
        if newest.state == state:
            facts = AlertFacts(
                f"the run due {newest.due_at:%Y-%m-%d %H:%M} UTC {state}",
                newest.message,
                "what it had finished is kept; the next run goes on from there",
                ((f"the run of {flow}", newest.link),) if newest.link else (),
            )
        verdicts.append(FlowVerdict(flow, kind, facts))
    return verdicts


def _of_waiting(
    flow: str, runs: Sequence[FlowRunSeen], now: datetime, params: FlowHealthParams
) -> FlowVerdict:
    limit = timedelta(minutes=params.late_minutes)
    waiting = [run for run in runs if run.state == "waiting" and now - run.due_at > limit]
    if not waiting:
        return FlowVerdict(flow, "flow_late", None)
    first = min(waiting, key=lambda run: run.due_at)
    # Nothing in it moves by itself, so that a watch sees that it has told this already.
    words = f"{len(waiting)} runs wait, the first since {first.due_at:%Y-%m-%d %H:%M} UTC"
    facts = AlertFacts(
        words,
        "the worker is gone, or a run before it takes too long",
        "a run that starts past its deadline skips itself",
        ((f"the run of {flow}", first.link),) if first.link else (),
    )
    return FlowVerdict(flow, "flow_late", facts)
