-- One piece of an erasure rewrites texts at a time: a text that two of them read at once would lose one of two changes.
SELECT pg_advisory_xact_lock($1)
