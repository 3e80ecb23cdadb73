"""The tables of schema `kairos`, for queries. The migrations create them; a test holds the two together."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

SCHEMA = "kairos"
BATCHES_SCHEMA = "kairos_batches"  # one partition of each plan table per batch
SLOTS = ("night", "morning", "midday", "afternoon", "evening", "late")

metadata = MetaData(schema=SCHEMA)


def _text(name: str, *, null: bool = False) -> Column[str]:
    return Column(name, Text, nullable=null)


def _time(name: str, *, null: bool = False, now: bool = False) -> Column[Any]:
    return Column(name, DateTime(timezone=True), nullable=null, server_default=func.now() if now else None)


def _number(name: str, *, null: bool = False) -> Column[float]:
    return Column(name, Double, nullable=null)


def _json(name: str, empty: str = "{}") -> Column[Any]:
    return Column(name, JSONB, nullable=False, server_default=text(f"'{empty}'::jsonb"))


def _one_of(column: str, *values: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(repr(value) for value in values)})")


# --- the plan -------------------------------------------------------------------------------------
# The three big tables are partitioned by batch: `plan_store` loads a batch into tables of its own and
# attaches them, so publishing never touches a row that anybody reads.

push_batch = Table(
    "push_batch",
    metadata,
    Column("batch_id", Text, primary_key=True),
    Column("plan_date", Date, nullable=False),
    _time("as_of"),
    _text("status"),
    _text("model_version"),
    _text("policy_version"),
    Column("rows", BigInteger, nullable=False),
    Column("users", BigInteger, nullable=False),
    Column("items", BigInteger, nullable=False),
    Column("suppressions", BigInteger, nullable=False),
    _text("checksum"),
    _time("created_at", now=True),
    _time("published_at", null=True),
    _time("dropped_at", null=True),  # its rows are gone: it can no longer be rolled back to
    _one_of("status", "staged", "live", "superseded", "rolled_back"),
)
Index("push_batch_one_live", push_batch.c.plan_date, unique=True, postgresql_where=text("status = 'live'"))

push_plan = Table(
    "push_plan",
    metadata,
    _text("push_id"),
    _text("batch_id"),
    Column("plan_date", Date, nullable=False),
    _text("user_id"),
    _text("slot"),
    _time("send_at"),
    _time("expires_at"),
    _text("timezone"),
    _json("scene"),
    _text("channel"),
    _text("item_id"),
    _number("p_engage"),
    _number("expected_value"),
    _number("propensity"),
    _json("reasons", "[]"),
    _text("model_version"),
    _text("policy_version"),
    _text("experiment", null=True),
    _text("arm", null=True),
    Column("holdout", Boolean, nullable=False, server_default=text("false")),
    # The batch is the same in all rows of a partition: sorting by what differs first is several times faster.
    PrimaryKeyConstraint("push_id", "batch_id"),
    UniqueConstraint("user_id", "slot", "batch_id", name="push_plan_one_per_slot"),
    _one_of("slot", *SLOTS),
    CheckConstraint("expires_at > send_at"),
    postgresql_partition_by="LIST (batch_id)",
)

Index("push_plan_due", push_plan.c.send_at)

push_plan_item = Table(
    "push_plan_item",
    metadata,
    _text("batch_id"),
    _text("push_id"),
    Column("rank", Integer, nullable=False),
    _text("item_id"),
    _number("score"),
    _json("reasons", "[]"),
    PrimaryKeyConstraint("push_id", "rank", "batch_id"),
    postgresql_partition_by="LIST (batch_id)",
)

suppression = Table(
    "suppression",
    metadata,
    _text("batch_id"),
    _text("user_id"),
    _text("slot", null=True),
    _text("item_id", null=True),
    _text("rule"),
    _text("detail"),
    _one_of("slot", *SLOTS),
    postgresql_partition_by="LIST (batch_id)",
)
Index("suppression_user", suppression.c.user_id, suppression.c.batch_id)

# A view, so no part of `metadata`'s DDL: what the push gateway reads.
push_plan_live = Table(
    "push_plan_live",
    MetaData(schema=SCHEMA),
    *(Column(column.name, column.type) for column in push_plan.columns),
)

push_plan_published = Table(
    "push_plan_published",  # a view as well: the live batches as they were published, whatever stops them now
    MetaData(schema=SCHEMA),
    *(Column(column.name, column.type) for column in push_plan.columns),
)

# --- what stops a push after it was planned; the view asks these at every read ----------------------


def _lifted() -> tuple[Column[Any], ...]:
    """When, by whom and why it ended; null while it holds."""
    return _time("lifted_at", null=True), _text("lifted_who", null=True), _text("lifted_why", null=True)


kill_switch = Table(
    "kill_switch",
    metadata,
    Column("switch", BigInteger, Identity(always=True), primary_key=True),
    _text("scope"),
    Column("target", Text, nullable=False, server_default=text("''")),
    _text("who"),
    _text("why"),
    _time("since", now=True),
    *_lifted(),
    _one_of("scope", "all", "channel", "category", "campaign", "item"),
    CheckConstraint("(scope = 'all') = (target = '')"),
)
Index(
    "kill_switch_one_on",
    *(kill_switch.c.scope, kill_switch.c.target),
    unique=True,
    postgresql_where=text("lifted_at IS NULL"),
)

consent_withdrawal = Table(
    "consent_withdrawal",
    metadata,
    Column("withdrawal", BigInteger, Identity(always=True), primary_key=True),
    _text("user_id"),
    _text("cause"),
    _text("who"),
    _text("why"),
    _time("since", now=True),
    *_lifted(),
    _one_of("cause", "opt_out", "complaint", "users", "command"),
)
Index(
    "consent_withdrawal_one_on",
    *(consent_withdrawal.c.user_id, consent_withdrawal.c.cause),
    unique=True,
    postgresql_where=text("lifted_at IS NULL"),
)

item_stop = Table(
    "item_stop",
    metadata,
    Column("item_id", Text, primary_key=True),
    Column("cause", Text, primary_key=True),
    _text("detail"),
    _time("since", now=True),
    _one_of("cause", "unavailable", "kill_switch"),
)

size_approval = Table(
    "size_approval",
    metadata,
    Column("approval", BigInteger, Identity(always=True), primary_key=True),
    Column("plan_date", Date, nullable=False),
    Column("pushes", BigInteger, nullable=False),
    _text("who"),
    _text("why"),
    _time("at", now=True),
)
Index("size_approval_date", size_approval.c.plan_date)

# --- the gateway ----------------------------------------------------------------------------------
# What became of each push, whatever batch it came from; no part of a batch, so a replan forgets nothing.

push_dispatch = Table(
    "push_dispatch",
    metadata,
    Column("push_id", Text, primary_key=True),
    _text("batch_id"),
    Column("plan_date", Date, nullable=False),
    _text("user_id"),
    _text("channel"),
    _text("item_id"),
    _time("send_at"),
    _time("expires_at"),
    _text("state"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _time("ready_at"),  # queued: when it may be taken; claimed: when the lease ends and anybody may take it
    _text("claim", null=True),
    _text("last_error", null=True),
    _time("queued_at", now=True),
    _time("finished_at", null=True),
    _one_of("state", "queued", "claimed", "sent", "expired", "failed"),
    CheckConstraint("(state IN ('queued', 'claimed')) = (finished_at IS NULL)"),
    CheckConstraint("(state = 'claimed') = (claim IS NOT NULL)"),
)
Index("push_dispatch_open", push_dispatch.c.ready_at, postgresql_where=text("finished_at IS NULL"))
Index(
    "push_dispatch_sent",
    *(push_dispatch.c.user_id, push_dispatch.c.finished_at),
    postgresql_where=text("state = 'sent'"),
)

dispatch_pace = Table(
    "dispatch_pace",
    metadata,
    Column("gateway", Text, primary_key=True),
    _time("next_at"),
)

# --- the registry ---------------------------------------------------------------------------------

model_version = Table(
    "model_version",
    metadata,
    Column("version", Text, primary_key=True),
    _text("status"),
    _json("metrics"),
    _json("lineage"),
    _time("created_at", now=True),
)

model_alias = Table(
    "model_alias",
    metadata,
    Column("alias", Text, primary_key=True),
    Column("version", Text, ForeignKey(model_version.c.version), nullable=False),
    _time("moved_at", now=True),
    _one_of("alias", "champion", "challenger"),
)

promotion_event = Table(
    "promotion_event",
    metadata,
    Column("event", BigInteger, Identity(always=True), primary_key=True),
    _text("alias"),
    _text("from_version", null=True),
    _text("to_version"),
    _text("who"),
    _text("why"),
    _time("at", now=True),
)

gate_decision = Table(
    "gate_decision",
    metadata,
    Column("decision", BigInteger, Identity(always=True), primary_key=True),
    _text("subject"),
    Column("promote", Boolean, nullable=False),
    _json("reasons", "[]"),
    _json("evidence"),
    _time("decided_at", now=True),
)
Index("gate_decision_subject", gate_decision.c.subject, gate_decision.c.decided_at)

gate_override = Table(
    "gate_override",
    metadata,
    Column("override", BigInteger, Identity(always=True), primary_key=True),
    _text("gate"),
    _text("subject"),
    _text("said"),
    _text("who"),
    _text("why"),
    _time("at", now=True),
    _one_of("gate", "model", "quality"),
)

model_rollout = Table(
    "model_rollout",
    metadata,
    Column("rollout", BigInteger, Identity(always=True), primary_key=True),
    Column("version", Text, ForeignKey(model_version.c.version), nullable=False),
    Column("champion", Text, ForeignKey(model_version.c.version), nullable=False),
    _text("stages"),
    _text("stage"),
    _time("started_at"),
    _time("entered_at"),
    _time("ended_at", null=True),
    _text("outcome", null=True),
    _text("why"),
    _one_of("stage", "shadow", "canary"),
    _one_of("outcome", "promoted", "returned", "withdrawn", "superseded"),
    CheckConstraint("(ended_at IS NULL) = (outcome IS NULL)"),
)

# --- what was measured ----------------------------------------------------------------------------


def _summary(name: str) -> Table:
    """One row per subject, cut-off, kind, column and measure."""
    return Table(
        name,
        metadata,
        _text("subject"),
        _time("as_of"),
        _text("kind"),
        _text("column_name"),
        _text("measure"),
        _number("value", null=True),
        _number("threshold", null=True),
        _text("verdict"),
        _text("reference", null=True),
        _text("report", null=True),
        _json("details"),
        _time("created_at", now=True),
        PrimaryKeyConstraint("subject", "as_of", "kind", "column_name", "measure"),
        _one_of("verdict", "ok", "warn", "fail"),
    )


quality_summary = _summary("quality_summary")
drift_summary = _summary("drift_summary")

alert = Table(
    "alert",
    metadata,
    Column("alert", BigInteger, Identity(always=True), primary_key=True),
    _text("dedup_key"),
    _text("severity"),
    _text("title"),
    _text("runbook", null=True),
    _text("status"),
    _time("first_seen"),
    _time("last_seen"),
    Column("count", BigInteger, nullable=False, server_default=text("1")),
    _json("details"),
    Column("kind", Text, nullable=False, server_default=text("''")),
    Column("subject", Text, nullable=False, server_default=text("''")),
    Column("owner", Text, nullable=False, server_default=text("'platform'")),
    Column("flaps", Integer, nullable=False, server_default=text("0")),
    _time("acknowledged_at", null=True),
    _text("acknowledged_by", null=True),
    _time("resolved_at", null=True),
    _text("resolved_by", null=True),
    _text("told", null=True),
    _time("told_at", null=True),
    _text("told_severity", null=True),
    _one_of("severity", "critical", "error", "warning", "info"),
    _one_of("status", "open", "acknowledged", "resolved"),
    _one_of("told", "trigger", "reminder", "acknowledge", "resolve"),
)
Index("alert_one_unresolved", alert.c.dedup_key, unique=True, postgresql_where=text("status <> 'resolved'"))

alert_delivery = Table(
    "alert_delivery",
    metadata,
    Column("delivery", BigInteger, Identity(always=True), primary_key=True),
    Column("alert", BigInteger, ForeignKey(alert.c.alert, ondelete="CASCADE"), nullable=False),
    _text("route"),
    _text("notice"),
    _text("state"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    _time("ready_at"),
    _text("last_error", null=True),
    _time("queued_at", now=True),
    _time("finished_at", null=True),
    _one_of("notice", "trigger", "reminder", "acknowledge", "resolve"),
    _one_of("state", "queued", "sent", "failed"),
    CheckConstraint("(state = 'queued') = (finished_at IS NULL)"),
)
Index("alert_delivery_open", alert_delivery.c.ready_at, postgresql_where=text("finished_at IS NULL"))

alert_mute = Table(
    "alert_mute",
    metadata,
    Column("mute", BigInteger, Identity(always=True), primary_key=True),
    _time("begins_at"),
    _time("ends_at"),
    Column("kind", Text, nullable=False, server_default=text("''")),
    Column("owner", Text, nullable=False, server_default=text("''")),
    _text("who"),
    _text("why"),
    CheckConstraint("ends_at > begins_at"),
)

# --- experiments ----------------------------------------------------------------------------------

experiment = Table(
    "experiment",
    metadata,
    Column("experiment", Text, primary_key=True),
    _text("hypothesis"),
    _text("status"),
    _json("design"),
    _time("starts_at", null=True),
    _time("ends_at", null=True),
    _time("created_at", now=True),
    Column("owner", Text, nullable=False, server_default=text("''")),
    Column("words", Text, nullable=False, server_default=text("''")),
    _text("approved_by", null=True),
    _time("approved_at", null=True),
    _time("stopped_at", null=True),
    _text("decision", null=True),
    _text("winner", null=True),
    _text("report", null=True),
    _one_of("status", "proposed", "refused", "waiting", "running", "stopped", "archived"),
)

experiment_arm = Table(
    "experiment_arm",
    metadata,
    Column("experiment", Text, ForeignKey(experiment.c.experiment, ondelete="CASCADE"), primary_key=True),
    Column("arm", Text, primary_key=True),
    _number("share"),
    Column("control", Boolean, nullable=False, server_default=text("false")),
    _json("treatment"),
    CheckConstraint("share >= 0 AND share <= 1"),
)

experiment_event = Table(
    "experiment_event",
    metadata,
    Column("event", BigInteger, Identity(always=True), primary_key=True),
    _text("experiment"),
    _text("what"),
    _text("who"),
    _text("why"),
    _time("at", now=True),
)

experiment_unit = Table(
    "experiment_unit",
    metadata,
    Column("experiment", Text, ForeignKey(experiment.c.experiment, ondelete="CASCADE"), primary_key=True),
    Column("user_id", Text, primary_key=True),
    _text("arm"),
    _number("propensity"),
    Column("plan_date", Date, nullable=False),
    _time("assigned_at"),
)

experiment_decision = Table(
    "experiment_decision",
    metadata,
    Column("experiment", Text, ForeignKey(experiment.c.experiment, ondelete="CASCADE"), primary_key=True),
    Column("as_of", DateTime(timezone=True), primary_key=True),
    _text("decision"),
    _text("winner", null=True),
    _json("readout"),
    _time("created_at", now=True),
)

experiment_readout = Table(
    "experiment_readout",
    metadata,
    Column("experiment", Text, ForeignKey(experiment.c.experiment, ondelete="CASCADE"), primary_key=True),
    Column("as_of", DateTime(timezone=True), primary_key=True),
    Column("metric", Text, primary_key=True),
    Column("arm", Text, primary_key=True),
    Column("users", BigInteger, nullable=False),
    _number("mean", null=True),
    _number("lift_relative", null=True),
    _number("lift_low", null=True),
    _number("lift_high", null=True),
    _number("p_value", null=True),
    _text("verdict", null=True),
    _json("evidence"),
    _time("created_at", now=True),
)

# --- the flows ------------------------------------------------------------------------------------

flow_watermark = Table(
    "flow_watermark",
    metadata,
    Column("flow", Text, primary_key=True),
    _time("value"),
    _text("fingerprint", null=True),
    _time("updated_at", now=True),
)
