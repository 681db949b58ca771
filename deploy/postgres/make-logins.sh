#!/bin/sh
# Create the services' log-in together with the database: a member of couponry_service, which may add to the ledger but not change it.
# The role is created here because the log-in needs it before the first migration. The migration leaves an existing role unchanged.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set=password="$(cat /run/secrets/service_password)" <<'SQL'
CREATE ROLE couponry_service NOLOGIN;
CREATE ROLE couponry_worker LOGIN PASSWORD :'password' IN ROLE couponry_service;
SQL
