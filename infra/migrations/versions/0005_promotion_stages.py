"""Challengers on their way to the champion's place, a stage at a time, and overrides of gates.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE kairos.model_rollout (
    rollout bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    version text NOT NULL REFERENCES kairos.model_version (version),
    champion text NOT NULL REFERENCES kairos.model_version (version),
    stages text NOT NULL,
    stage text NOT NULL CHECK (stage IN ('shadow', 'canary')),
    started_at timestamptz NOT NULL,
    entered_at timestamptz NOT NULL,
    ended_at timestamptz,
    outcome text CHECK (outcome IN ('promoted', 'returned', 'withdrawn', 'superseded')),
    why text NOT NULL,
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
);

CREATE TABLE kairos.gate_override (
    override bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gate text NOT NULL CHECK (gate IN ('model', 'quality')),
    subject text NOT NULL,
    said text NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute("DROP TABLE kairos.model_rollout, kairos.gate_override")
