-- The rights of each role on the tables there are; run by the migrator after every migration, safe to repeat.

-- The new owner of a table needs the right to create in its schema, for this moment only.
GRANT CREATE ON SCHEMA kairos TO kairos_worker;
ALTER TABLE kairos.push_plan OWNER TO kairos_worker;
ALTER TABLE kairos.push_plan_item OWNER TO kairos_worker;
ALTER TABLE kairos.suppression OWNER TO kairos_worker;
REVOKE CREATE ON SCHEMA kairos FROM kairos_worker;

GRANT USAGE ON SCHEMA kairos TO kairos_worker, kairos_dispatcher, kairos_gateway, kairos_analyst;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA kairos TO kairos_worker;
REVOKE INSERT, UPDATE, DELETE ON kairos.alembic_version FROM kairos_worker;

GRANT SELECT ON kairos.alembic_version, kairos.push_plan_live, kairos.push_plan_item TO kairos_dispatcher;
GRANT SELECT, INSERT, UPDATE, DELETE ON
    kairos.push_dispatch, kairos.dispatch_pace, kairos.alert, kairos.alert_delivery TO kairos_dispatcher;
GRANT SELECT ON kairos.alert_mute TO kairos_dispatcher;

GRANT SELECT ON kairos.push_plan_live, kairos.push_plan_item_live TO kairos_gateway;

-- Every column but those that say who: users, and our own people. push_id is a pseudonym that joins the tables.
DO $analyst$
DECLARE
    readable record;
BEGIN
    FOR readable IN
        SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE c.relnamespace = 'kairos'::regnamespace AND c.relkind IN ('r', 'p', 'v')
          AND a.attname NOT IN ('user_id', 'who', 'why', 'lifted_who', 'lifted_why', 'acknowledged_by',
                                'resolved_by')
        GROUP BY c.relname
    LOOP
        EXECUTE format('REVOKE ALL ON kairos.%I FROM kairos_analyst', readable.name);
        EXECUTE format('GRANT SELECT (%s) ON kairos.%I TO kairos_analyst', readable.columns, readable.name);
    END LOOP;
END
$analyst$;
