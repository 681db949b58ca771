-- Wait until no batch runs and keep new ones out until the commit, because campaigns or customers change.
SELECT pg_advisory_xact_lock($1)
