#!/bin/sh
# Create the passwords for compose.yaml once, as files under deploy/secrets/, which other accounts on this machine can't read.
set -eu
folder=$(dirname "$0")/secrets
# The key that encrypts webhook secrets and source headers. Keep a copy, but not with the database's backups.
make_key() { (umask 022 && head -c 32 /dev/urandom | base64 >"$folder/encryption_keys"); }
if [ -e "$folder" ] && [ ! -e "$folder/encryption_keys" ]; then
    make_key
    echo "added $folder/encryption_keys"
    exit 0
fi
if [ -e "$folder" ]; then
    echo "$folder already exists. To create new secrets, remove it and the volume postgres-data, which contains the old ones" >&2
    exit 1
fi
random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }
mkdir -m 700 "$folder"
owner=$(random)
service=$(random)
# The files are readable for the containers' account. The folder's mode keeps other accounts on this machine out.
umask 022
printf '%s' "$owner" >"$folder/owner_password"
printf '%s' "$service" >"$folder/service_password"
printf '%s' "postgresql://couponry_admin:$owner@postgres:5432/couponry" >"$folder/owner_database_url"
printf '%s' "postgresql://couponry_worker:$service@postgres:5432/couponry" >"$folder/service_database_url"
make_key
echo "wrote $folder"
