"""What alerts need to be told once: who was told, what is to be delivered, and maintenance windows.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

NOTICES = "('trigger', 'reminder', 'acknowledge', 'resolve')"

UP = f"""
ALTER TABLE kairos.alert
    ADD COLUMN kind text NOT NULL DEFAULT '',
    ADD COLUMN subject text NOT NULL DEFAULT '',
    ADD COLUMN owner text NOT NULL DEFAULT 'platform',
    ADD COLUMN flaps integer NOT NULL DEFAULT 0,
    ADD COLUMN acknowledged_at timestamptz,
    ADD COLUMN acknowledged_by text,
    ADD COLUMN resolved_at timestamptz,
    ADD COLUMN resolved_by text,
    ADD COLUMN told text CHECK (told IN {NOTICES}),
    ADD COLUMN told_at timestamptz,
    ADD COLUMN told_severity text;

CREATE TABLE kairos.alert_delivery (
    delivery bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert bigint NOT NULL REFERENCES kairos.alert ON DELETE CASCADE,
    route text NOT NULL,
    notice text NOT NULL CHECK (notice IN {NOTICES}),
    state text NOT NULL CHECK (state IN ('queued', 'sent', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    ready_at timestamptz NOT NULL,
    last_error text,
    queued_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((state = 'queued') = (finished_at IS NULL))
);
CREATE INDEX alert_delivery_open ON kairos.alert_delivery (ready_at) WHERE finished_at IS NULL;

CREATE TABLE kairos.alert_mute (
    mute bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    begins_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    kind text NOT NULL DEFAULT '',
    owner text NOT NULL DEFAULT '',
    who text NOT NULL,
    why text NOT NULL,
    CHECK (ends_at > begins_at)
);
"""

DOWN = """
DROP TABLE kairos.alert_delivery, kairos.alert_mute;
ALTER TABLE kairos.alert
    DROP COLUMN kind, DROP COLUMN subject, DROP COLUMN owner, DROP COLUMN flaps,
    DROP COLUMN acknowledged_at, DROP COLUMN acknowledged_by, DROP COLUMN resolved_at,
    DROP COLUMN resolved_by, DROP COLUMN told, DROP COLUMN told_at, DROP COLUMN told_severity;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
