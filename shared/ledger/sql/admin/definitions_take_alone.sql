-- What changes the ground that batches stand on waits until none runs, and holds the next ones off until its commit.
SELECT pg_advisory_xact_lock($1)
