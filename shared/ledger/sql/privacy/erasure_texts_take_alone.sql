-- Let one step at a time rewrite texts: of two that read the same text at once, one would lose the other's change.
SELECT pg_advisory_xact_lock($1)
