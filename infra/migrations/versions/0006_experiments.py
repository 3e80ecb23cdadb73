"""Experiments from proposal to archive: who approved, who is in which arm, what every readout decided.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE kairos.experiment DROP CONSTRAINT experiment_status_check;
UPDATE kairos.experiment SET status = 'proposed' WHERE status = 'draft';
ALTER TABLE kairos.experiment
    ADD CHECK (status IN ('proposed', 'refused', 'waiting', 'running', 'stopped', 'archived')),
    ADD COLUMN owner text NOT NULL DEFAULT '',
    ADD COLUMN words text NOT NULL DEFAULT '',
    ADD COLUMN approved_by text,
    ADD COLUMN approved_at timestamptz,
    ADD COLUMN stopped_at timestamptz,
    ADD COLUMN decision text,
    ADD COLUMN winner text,
    ADD COLUMN report text;

CREATE TABLE kairos.experiment_event (
    event bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    experiment text NOT NULL,
    what text NOT NULL,
    who text NOT NULL,
    why text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE kairos.experiment_unit (
    experiment text NOT NULL REFERENCES kairos.experiment (experiment) ON DELETE CASCADE,
    user_id text NOT NULL,
    arm text NOT NULL,
    propensity double precision NOT NULL,
    plan_date date NOT NULL,
    assigned_at timestamptz NOT NULL,
    PRIMARY KEY (experiment, user_id)
);

CREATE TABLE kairos.experiment_decision (
    experiment text NOT NULL REFERENCES kairos.experiment (experiment) ON DELETE CASCADE,
    as_of timestamptz NOT NULL,
    decision text NOT NULL,
    winner text,
    readout jsonb NOT NULL DEFAULT '{}'::jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment, as_of)
);
"""

# Whatever reads this view sends what it finds there: what must stay unsent must not be in it.
_LIVE = """
CREATE OR REPLACE VIEW kairos.push_plan_live AS
SELECT plan.*
FROM kairos.push_plan AS plan
JOIN kairos.push_batch AS batch ON batch.batch_id = plan.batch_id
WHERE batch.status = 'live'{unsent}
  AND NOT EXISTS (SELECT FROM kairos.kill_switch AS s WHERE s.scope = 'all' AND s.lifted_at IS NULL)
  AND plan.channel <> ALL (ARRAY(SELECT s.target FROM kairos.kill_switch AS s
                                 WHERE s.scope = 'channel' AND s.lifted_at IS NULL))
  AND coalesce(plan.experiment, '') <> ALL (ARRAY(SELECT s.target FROM kairos.kill_switch AS s
                                                  WHERE s.scope = 'campaign' AND s.lifted_at IS NULL))
  AND NOT EXISTS (SELECT FROM kairos.item_stop AS i WHERE i.item_id = plan.item_id)
  AND NOT EXISTS (SELECT FROM kairos.consent_withdrawal AS w
                  WHERE w.user_id = plan.user_id AND w.lifted_at IS NULL);
"""

DOWN = """
DROP TABLE kairos.experiment_decision, kairos.experiment_unit, kairos.experiment_event;
ALTER TABLE kairos.experiment DROP CONSTRAINT experiment_status_check;
UPDATE kairos.experiment SET status = CASE WHEN status IN ('running', 'stopped') THEN status ELSE 'draft' END;
ALTER TABLE kairos.experiment
    ADD CHECK (status IN ('draft', 'running', 'stopped')),
    DROP COLUMN owner, DROP COLUMN words, DROP COLUMN approved_by, DROP COLUMN approved_at,
    DROP COLUMN stopped_at, DROP COLUMN decision, DROP COLUMN winner, DROP COLUMN report;
"""


def upgrade() -> None:
    op.execute(UP)
    op.execute(_LIVE.format(unsent="\n  AND NOT plan.holdout"))


def downgrade() -> None:
    op.execute(_LIVE.format(unsent=""))
    op.execute(DOWN)
