"""What can go wrong so that somebody must know: one entry a kind, each with a runbook of its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from features.errors import UsageError

Severity = Literal["critical", "error", "warning", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "error", "warning", "info")
"""From the worst; PagerDuty's own four."""

Owner = Literal["platform", "data", "models", "crm"]
OWNERS: tuple[Owner, ...] = ("platform", "data", "models", "crm")


@dataclass(frozen=True)
class AlertKind:
    """A kind of alert.

    Attributes:
        name: Also that of its runbook, infra/runbooks/NAME.md.
        severity: Of an alert that does not say otherwise.
        owner: Whose it is; routes may choose by it.
        title: What a person reads first; the subject follows it.
    """

    name: str
    severity: Severity
    owner: Owner
    title: str


ALERT_KINDS: tuple[AlertKind, ...] = (
    AlertKind("data_quality", "critical", "data", "Data quality stops the run"),
    AlertKind("quarantine", "critical", "data", "Too many rows are quarantined"),
    AlertKind("stale_features", "error", "data", "Features are too old to score with"),
    AlertKind("drift", "error", "models", "Data or scores have drifted"),
    AlertKind("gate_refused", "warning", "models", "The gate refused a challenger"),
    AlertKind("rollout_returned", "error", "models", "A challenger was taken back"),
    AlertKind("model_health", "error", "models", "Pushes do not do what the model promised"),
    AlertKind("experiment_mismatch", "critical", "data", "An experiment's arms lose users unevenly"),
    AlertKind("experiment_stopped", "error", "crm", "The platform stopped an experiment"),
    AlertKind("experiment_decided", "warning", "crm", "An experiment has ended, or asks for more time"),
    AlertKind("compiled_mismatch", "error", "models", "Compiled scores differ from LightGBM's"),
    AlertKind("plan_size", "critical", "crm", "A plan is much larger than usual"),
    AlertKind("pushes_stopped", "warning", "crm", "Pushes are stopped by hand"),
    AlertKind("dispatch_failing", "error", "platform", "The gateway refuses pushes"),
    AlertKind("flow_failed", "error", "platform", "A flow failed"),
    AlertKind("flow_crashed", "critical", "platform", "A flow crashed"),
    AlertKind("flow_late", "error", "platform", "A flow has not started in time"),
    AlertKind("automation_failed", "error", "platform", "An automation could not act"),
    AlertKind("alert_undelivered", "critical", "platform", "Alerts do not arrive"),
    AlertKind("test", "info", "platform", "Test alert"),
)
_BY_NAME = {kind.name: kind for kind in ALERT_KINDS}


def kind_named(name: str) -> AlertKind:
    """The kind of that name.

    Raises:
        UsageError: There is none.

    Examples:
        >>> kind_named("drift").owner
        'models'
    """
    if name not in _BY_NAME:
        raise UsageError(f"alert kind {name!r} is unknown, must be one of {', '.join(sorted(_BY_NAME))}.")
    return _BY_NAME[name]
