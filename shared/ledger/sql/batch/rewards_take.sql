-- Let no other batch issue for rewards or revoke them until this one commits.
SELECT pg_advisory_xact_lock($1)
