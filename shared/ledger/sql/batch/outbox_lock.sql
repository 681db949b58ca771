-- Hold an advisory lock from the first outbox position to the commit, so that positions are in commit order.
SELECT pg_advisory_xact_lock($1)
