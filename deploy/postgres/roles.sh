#!/bin/sh
# Two database roles, ours and Label Studio's: each owns its own database, connects to no other, and is no superuser.
#
# PostgreSQL's image runs this when it makes a new server. On an existing server run it once more: it changes nothing
# that is right, gives each role what an earlier release kept in a superuser's name, and sets the passwords anew.
#   docker compose exec postgres sh /docker-entrypoint-initdb.d/roles.sh
set -eu
SECRETS="${SECRETS:-/run/secrets}"
export PGUSER="${PGUSER:-${POSTGRES_USER:-postgres}}"

role() {  # role, database
    # psql itself reads the password: arguments show in the list of processes.
    PASSWORD_FILE="$SECRETS/postgres_$1_password" \
        psql --quiet --no-psqlrc --dbname postgres --set ON_ERROR_STOP=1 --set role="$1" --set database="$2" <<'SQL'
\set password `cat "$PASSWORD_FILE"`
SET client_min_messages TO warning;
SET log_statement TO 'none';
SELECT format('CREATE ROLE %I', :'role') WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') \gexec
ALTER ROLE :"role" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'password';
SELECT format('CREATE DATABASE %I', :'database')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO :"role";
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
\connect :"database"
SET client_min_messages TO warning;
ALTER SCHEMA public OWNER TO :"role";
REVOKE ALL ON SCHEMA public FROM PUBLIC;
WITH
    extensions AS (SELECT classid, objid FROM pg_depend WHERE deptype = 'e'),
    schemas AS (SELECT oid FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema')
SELECT format('ALTER TABLE %s OWNER TO %I', relation.oid::regclass, :'role')
FROM pg_class relation JOIN schemas ON schemas.oid = relnamespace
WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND pg_get_userbyid(relowner) <> :'role'
    AND ('pg_class'::regclass, relation.oid) NOT IN (SELECT * FROM extensions)
    -- The sequence of a column changes hands with its table.
    AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = relation.oid AND relkind = 'S' AND deptype IN ('a', 'i'))
UNION ALL
SELECT format('ALTER ROUTINE %s OWNER TO %I', routine.oid::regprocedure, :'role')
FROM pg_proc routine JOIN schemas ON schemas.oid = pronamespace
WHERE pg_get_userbyid(proowner) <> :'role'
    AND ('pg_proc'::regclass, routine.oid) NOT IN (SELECT * FROM extensions)
UNION ALL
SELECT format('ALTER TYPE %s OWNER TO %I', type.oid::regtype, :'role')
FROM pg_type type JOIN schemas ON schemas.oid = typnamespace
WHERE typtype IN ('e', 'd') AND pg_get_userbyid(typowner) <> :'role'
    AND ('pg_type'::regclass, type.oid) NOT IN (SELECT * FROM extensions)
\gexec
SQL
}

role yolo_mlsam mlsam
role label_studio labelstudio
