"""Keys that a load can sort quickly, and what became of every push at the gateway.

Revision ID: 0003
Revises: 0001
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# The batch is the same in every row of a partition: an index that begins with it must compare whole rows.
KEYS = """
ALTER TABLE kairos.push_plan
    DROP CONSTRAINT push_plan_pkey,
    DROP CONSTRAINT push_plan_one_per_slot,
    ADD CONSTRAINT push_plan_pkey PRIMARY KEY (push_id, batch_id),
    ADD CONSTRAINT push_plan_one_per_slot UNIQUE (user_id, slot, batch_id);
ALTER TABLE kairos.push_plan_item
    DROP CONSTRAINT push_plan_item_pkey,
    ADD CONSTRAINT push_plan_item_pkey PRIMARY KEY (push_id, rank, batch_id);
DROP INDEX kairos.suppression_user;
CREATE INDEX suppression_user ON kairos.suppression (user_id, batch_id);
"""

# One row a push that a dispatcher has taken up, whatever batch it came from: its key is what makes a push go
# out once. Rows outlive the batch's partition.
DISPATCH = """
CREATE TABLE kairos.push_dispatch (
    push_id text PRIMARY KEY,
    batch_id text NOT NULL,
    plan_date date NOT NULL,
    user_id text NOT NULL,
    channel text NOT NULL,
    item_id text NOT NULL,
    send_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    state text NOT NULL CHECK (state IN ('queued', 'claimed', 'sent', 'expired', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    ready_at timestamptz NOT NULL,
    claim text,
    last_error text,
    queued_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CHECK ((state IN ('queued', 'claimed')) = (finished_at IS NULL)),
    CHECK ((state = 'claimed') = (claim IS NOT NULL))
);
CREATE INDEX push_dispatch_open ON kairos.push_dispatch (ready_at) WHERE finished_at IS NULL;
CREATE INDEX push_dispatch_sent ON kairos.push_dispatch (user_id, finished_at) WHERE state = 'sent';
CREATE INDEX push_plan_due ON kairos.push_plan (send_at);

CREATE TABLE kairos.dispatch_pace (
    gateway text PRIMARY KEY,
    next_at timestamptz NOT NULL
);
"""


def upgrade() -> None:
    op.execute(KEYS)
    op.execute(DISPATCH)


def downgrade() -> None:
    op.execute("DROP INDEX kairos.push_plan_due; DROP TABLE kairos.push_dispatch, kairos.dispatch_pace")
