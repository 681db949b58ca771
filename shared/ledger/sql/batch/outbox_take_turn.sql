-- Serialises the drawing of outbox positions with the commit, so that their order is the order of commits.
SELECT pg_advisory_xact_lock($1)
