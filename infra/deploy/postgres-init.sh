#!/bin/sh
# Run once by the postgres image, on an empty volume: the roles, a login for each part, and Prefect's own database.
# A password is whatever its file in /run/secrets holds; it is quoted by psql, and printed nowhere.
set -eu
secrets=${SECRETS_DIR:-/run/secrets}
roles=${ROLES_FILE:-/etc/kairos/database_roles.sql}

login() {
    psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
        --set name="$1" --set role="$2" --set file="$secrets/$1_password" <<'SQL'
\set password `cat :'file'`
CREATE ROLE :"name" LOGIN PASSWORD :'password';
SELECT format('GRANT %I TO %I', :'role', :'name') WHERE :'role' <> '' \gexec
SELECT format('ALTER ROLE %I SET role = %I', :'name', :'role') WHERE :'role' <> '' \gexec
SQL
}

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --file "$roles"
login migrator kairos_migrator
login worker kairos_worker
login dispatcher kairos_dispatcher
login gateway kairos_gateway
login analyst kairos_analyst
login prefect ''

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --command 'CREATE DATABASE prefect OWNER prefect'
# Prefect searches names by trigrams.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname prefect \
    --command 'CREATE EXTENSION IF NOT EXISTS pg_trgm'
