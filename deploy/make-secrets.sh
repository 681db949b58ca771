#!/bin/sh
# Make the passwords of compose.yaml, once: files under deploy/secrets/, which no other account of this machine can reach.
set -eu
folder=$(dirname "$0")/secrets
# The key of webhook secrets and source headers at rest. Keep a copy where the database's backups are not.
make_key() { (umask 022 && head -c 32 /dev/urandom | base64 >"$folder/encryption_keys"); }
if [ -e "$folder" ] && [ ! -e "$folder/encryption_keys" ]; then
    make_key
    echo "added $folder/encryption_keys"
    exit 0
fi
if [ -e "$folder" ]; then
    echo "$folder is there already; remove it to make new secrets (and the volume postgres-data, which holds the old ones)" >&2
    exit 1
fi
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
mkdir -m 700 "$folder"
owner=$(random)
service=$(random)
# Readable inside the containers, whose account is another one; the folder keeps everybody else on this machine out.
umask 022
printf '%s' "$owner" >"$folder/owner_password"
printf '%s' "$service" >"$folder/service_password"
printf '%s' "postgresql://couponry_admin:$owner@postgres:5432/couponry" >"$folder/owner_database_url"
printf '%s' "postgresql://couponry_worker:$service@postgres:5432/couponry" >"$folder/service_database_url"
make_key
echo "wrote $folder"
