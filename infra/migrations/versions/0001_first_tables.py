"""The plan, the registry, what was measured, experiments and watermarks.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

PLAN = """
CREATE TABLE kairos.push_batch (
    batch_id text PRIMARY KEY,
    plan_date date NOT NULL,
    as_of timestamptz NOT NULL,
    status text NOT NULL CHECK (status IN ('staged', 'live', 'superseded', 'rolled_back')),
    model_version text NOT NULL,
    policy_version text NOT NULL,
    rows bigint NOT NULL,
    users bigint NOT NULL,
    items bigint NOT NULL,
    suppressions bigint NOT NULL,
    checksum text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    published_at timestamptz,
    dropped_at timestamptz
);
CREATE UNIQUE INDEX push_batch_one_live ON kairos.push_batch (plan_date) WHERE status = 'live';

CREATE TABLE kairos.push_plan (
    push_id text NOT NULL,
    batch_id text NOT NULL,
    plan_date date NOT NULL,
    user_id text NOT NULL,
    slot text NOT NULL CHECK (slot IN ('night', 'morning', 'midday', 'afternoon', 'evening', 'late')),
    send_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    timezone text NOT NULL,
    scene jsonb NOT NULL DEFAULT '{}',
    channel text NOT NULL,
    item_id text NOT NULL,
    p_engage double precision NOT NULL,
    expected_value double precision NOT NULL,
    propensity double precision NOT NULL,
    reasons jsonb NOT NULL DEFAULT '[]',
    model_version text NOT NULL,
    policy_version text NOT NULL,
    experiment text,
    arm text,
    holdout boolean NOT NULL DEFAULT false,
    CHECK (expires_at > send_at),
    PRIMARY KEY (batch_id, push_id),
    CONSTRAINT push_plan_one_per_slot UNIQUE (batch_id, user_id, slot)
) PARTITION BY LIST (batch_id);

CREATE TABLE kairos.push_plan_item (
    batch_id text NOT NULL,
    push_id text NOT NULL,
    rank integer NOT NULL,
    item_id text NOT NULL,
    score double precision NOT NULL,
    reasons jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (batch_id, push_id, rank)
) PARTITION BY LIST (batch_id);

CREATE TABLE kairos.suppression (
    batch_id text NOT NULL,
    user_id text NOT NULL,
    slot text CHECK (slot IN ('night', 'morning', 'midday', 'afternoon', 'evening', 'late')),
    item_id text,
    rule text NOT NULL,
    detail text NOT NULL
) PARTITION BY LIST (batch_id);
CREATE INDEX suppression_user ON kairos.suppression (batch_id, user_id);

CREATE VIEW kairos.push_plan_live AS
SELECT plan.*
FROM kairos.push_plan AS plan
JOIN kairos.push_batch AS batch ON batch.batch_id = plan.batch_id
WHERE batch.status = 'live';
"""

REGISTRY = """
CREATE TABLE kairos.model_version (
    version text PRIMARY KEY,
    status text NOT NULL,
    metrics jsonb NOT NULL DEFAULT '{}',
    lineage jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kairos.model_alias (
    alias text PRIMARY KEY CHECK (alias IN ('champion', 'challenger')),
    version text NOT NULL REFERENCES kairos.model_version (version),
    moved_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kairos.promotion_event (
    event bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alias text NOT NULL,
    from_version text,
    to_version text NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kairos.gate_decision (
    decision bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL,
    promote boolean NOT NULL,
    reasons jsonb NOT NULL DEFAULT '[]',
    evidence jsonb NOT NULL DEFAULT '{}',
    decided_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX gate_decision_subject ON kairos.gate_decision (subject, decided_at);
"""

SUMMARY = """
CREATE TABLE kairos.{name} (
    subject text NOT NULL,
    as_of timestamptz NOT NULL,
    kind text NOT NULL,
    column_name text NOT NULL,
    measure text NOT NULL,
    value double precision,
    threshold double precision,
    verdict text NOT NULL CHECK (verdict IN ('ok', 'warn', 'fail')),
    reference text,
    report text,
    details jsonb NOT NULL DEFAULT '{{}}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, as_of, kind, column_name, measure)
);
"""

ALERT = """
CREATE TABLE kairos.alert (
    alert bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedup_key text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('critical', 'error', 'warning', 'info')),
    title text NOT NULL,
    runbook text,
    status text NOT NULL CHECK (status IN ('open', 'acknowledged', 'resolved')),
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    count bigint NOT NULL DEFAULT 1,
    details jsonb NOT NULL DEFAULT '{}'
);
CREATE UNIQUE INDEX alert_one_unresolved ON kairos.alert (dedup_key) WHERE status <> 'resolved';
"""

EXPERIMENTS = """
CREATE TABLE kairos.experiment (
    experiment text PRIMARY KEY,
    hypothesis text NOT NULL,
    status text NOT NULL CHECK (status IN ('draft', 'running', 'stopped')),
    design jsonb NOT NULL DEFAULT '{}',
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kairos.experiment_arm (
    experiment text REFERENCES kairos.experiment (experiment) ON DELETE CASCADE,
    arm text,
    share double precision NOT NULL CHECK (share >= 0 AND share <= 1),
    control boolean NOT NULL DEFAULT false,
    treatment jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (experiment, arm)
);

CREATE TABLE kairos.experiment_readout (
    experiment text REFERENCES kairos.experiment (experiment) ON DELETE CASCADE,
    as_of timestamptz,
    metric text,
    arm text,
    users bigint NOT NULL,
    mean double precision,
    lift_relative double precision,
    lift_low double precision,
    lift_high double precision,
    p_value double precision,
    verdict text,
    evidence jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment, as_of, metric, arm)
);
"""

FLOWS = """
CREATE TABLE kairos.flow_watermark (
    flow text PRIMARY KEY,
    value timestamptz NOT NULL,
    fingerprint text,
    updated_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    summaries = "".join(SUMMARY.format(name=name) for name in ("quality_summary", "drift_summary"))
    for step in (PLAN, REGISTRY, summaries, ALERT, EXPERIMENTS, FLOWS):
        op.execute(step)


def downgrade() -> None:
    op.execute("DROP VIEW kairos.push_plan_live")
    op.execute("DROP TABLE kairos.push_batch, kairos.push_plan, kairos.push_plan_item, kairos.suppression")
    op.execute("DROP TABLE kairos.model_alias, kairos.model_version")
    op.execute("DROP TABLE kairos.promotion_event, kairos.gate_decision")
    op.execute("DROP TABLE kairos.quality_summary, kairos.drift_summary, kairos.alert, kairos.flow_watermark")
    op.execute("DROP TABLE kairos.experiment_readout, kairos.experiment_arm, kairos.experiment")
