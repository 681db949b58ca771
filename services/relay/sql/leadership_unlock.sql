-- Lets another relay lead without waiting for our connection to end.
SELECT pg_advisory_unlock(hashtextextended($1, 0))
