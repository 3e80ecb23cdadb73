-- Who may do what with Kairos's database. Run once by an administrator, in that database, before the first
-- migration; safe to repeat. `kairos migrate` then gives each role its tables (infra/database_grants.sql).
--
--   kairos_migrator    owns the tables and changes them; only `kairos migrate` is it
--   kairos_worker      reads and writes rows, and adds the partitions of a published plan; flows and alerts are it
--   kairos_dispatcher  reads the live plan and keeps the record of what was sent
--   kairos_gateway     reads the live plan's views, nothing else
--   kairos_analyst     reads everything but who it is about
--
-- All are groups without a login. A person or a program gets a login of its own in one of them, and works as that group,
-- so that what one login makes belongs to all of its group:
--   CREATE ROLE gateway LOGIN PASSWORD '...' IN ROLE kairos_gateway;
--   ALTER ROLE gateway SET role = kairos_gateway;

DO $roles$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY
        ARRAY['kairos_migrator', 'kairos_worker', 'kairos_dispatcher', 'kairos_gateway', 'kairos_analyst']
    LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
        END IF;
    END LOOP;
END
$roles$;

-- A partition is attached by the owner of the plan's tables, so they belong to the worker; their migrations
-- are the migrator's all the same.
GRANT kairos_worker TO kairos_migrator;

CREATE SCHEMA IF NOT EXISTS kairos AUTHORIZATION kairos_migrator;
CREATE SCHEMA IF NOT EXISTS kairos_batches AUTHORIZATION kairos_worker;
CREATE SCHEMA IF NOT EXISTS kairos_online AUTHORIZATION kairos_worker;

REVOKE CREATE ON SCHEMA public FROM PUBLIC;
