-- Let other batches issue for rewards at the same time, but none revoke: of a reward that arrives while it is revoked,
-- the later batch must see the earlier one.
SELECT pg_advisory_xact_lock_shared($1)
