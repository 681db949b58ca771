-- One relay at a time publishes. The lock goes with its connection, so a relay that was killed frees it at once.
SELECT pg_try_advisory_lock(hashtextextended($1, 0))
