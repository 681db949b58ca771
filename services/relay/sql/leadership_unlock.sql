-- Release the lock, so that another relay can lead before this connection ends.
SELECT pg_advisory_unlock(hashtextextended($1, 0))
