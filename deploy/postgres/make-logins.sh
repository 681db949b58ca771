#!/bin/sh
# The services' log-in, made when the database is: a member of couponry_service, which may add to the ledger and never change it.
# The role is made here because the log-in needs it before the first migration, which finds it and leaves it as it is.
set -eu
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set=password="$(cat /run/secrets/service_password)" <<'SQL'
CREATE ROLE couponry_service NOLOGIN;
CREATE ROLE couponry_worker LOGIN PASSWORD :'password' IN ROLE couponry_service;
SQL
