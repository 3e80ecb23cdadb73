"""What stops a push after it was planned: kill switches, withdrawn consent, stopped items; size approvals.

The gateway's view asks them at every read, so that nothing has to be planned anew to be stopped. All are
small beside the plan, and empty on a quiet day.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STOPS = """
CREATE TABLE kairos.kill_switch (
    switch bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope text NOT NULL CHECK (scope IN ('all', 'channel', 'category', 'campaign', 'item')),
    target text NOT NULL DEFAULT '',
    who text NOT NULL,
    why text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    lifted_at timestamptz,
    lifted_who text,
    lifted_why text,
    CHECK ((scope = 'all') = (target = ''))
);
CREATE UNIQUE INDEX kill_switch_one_on ON kairos.kill_switch (scope, target) WHERE lifted_at IS NULL;

CREATE TABLE kairos.consent_withdrawal (
    withdrawal bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('opt_out', 'complaint', 'users', 'command')),
    who text NOT NULL,
    why text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    lifted_at timestamptz,
    lifted_who text,
    lifted_why text
);
CREATE UNIQUE INDEX consent_withdrawal_one_on ON kairos.consent_withdrawal (user_id, cause)
    WHERE lifted_at IS NULL;

CREATE TABLE kairos.item_stop (
    item_id text NOT NULL,
    cause text NOT NULL CHECK (cause IN ('unavailable', 'kill_switch')),
    detail text NOT NULL,
    since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_id, cause)
);

CREATE TABLE kairos.size_approval (
    approval bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    plan_date date NOT NULL,
    pushes bigint NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX size_approval_date ON kairos.size_approval (plan_date);
"""

# The switches are read once a query. Items and consent are a NOT EXISTS of their own: one index look-up where
# a reader asks for one user, a hashed join where it reads on.
VIEWS = """
CREATE VIEW kairos.push_plan_published AS
SELECT plan.*
FROM kairos.push_plan AS plan
JOIN kairos.push_batch AS batch ON batch.batch_id = plan.batch_id
WHERE batch.status = 'live';

CREATE OR REPLACE VIEW kairos.push_plan_live AS
SELECT plan.*
FROM kairos.push_plan AS plan
JOIN kairos.push_batch AS batch ON batch.batch_id = plan.batch_id
WHERE batch.status = 'live'
  AND NOT EXISTS (SELECT FROM kairos.kill_switch AS s WHERE s.scope = 'all' AND s.lifted_at IS NULL)
  AND plan.channel <> ALL (ARRAY(SELECT s.target FROM kairos.kill_switch AS s
                                 WHERE s.scope = 'channel' AND s.lifted_at IS NULL))
  AND coalesce(plan.experiment, '') <> ALL (ARRAY(SELECT s.target FROM kairos.kill_switch AS s
                                                  WHERE s.scope = 'campaign' AND s.lifted_at IS NULL))
  AND NOT EXISTS (SELECT FROM kairos.item_stop AS i WHERE i.item_id = plan.item_id)
  AND NOT EXISTS (SELECT FROM kairos.consent_withdrawal AS w
                  WHERE w.user_id = plan.user_id AND w.lifted_at IS NULL);

CREATE VIEW kairos.push_plan_item_live AS
SELECT item.*
FROM kairos.push_plan_item AS item
JOIN kairos.push_batch AS batch ON batch.batch_id = item.batch_id
WHERE batch.status = 'live'
  AND NOT EXISTS (SELECT FROM kairos.item_stop AS i WHERE i.item_id = item.item_id);
"""


def upgrade() -> None:
    op.execute(STOPS)
    op.execute(VIEWS)


def downgrade() -> None:
    op.execute("DROP VIEW kairos.push_plan_item_live, kairos.push_plan_published")
    op.execute(
        "CREATE OR REPLACE VIEW kairos.push_plan_live AS SELECT plan.* FROM kairos.push_plan AS plan "
        "JOIN kairos.push_batch AS batch ON batch.batch_id = plan.batch_id WHERE batch.status = 'live'"
    )
    op.execute(
        "DROP TABLE kairos.kill_switch, kairos.consent_withdrawal, kairos.item_stop, kairos.size_approval"
    )
