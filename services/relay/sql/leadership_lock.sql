-- Take the lock that lets one relay publish. It ends with the connection, so a killed relay releases it at once.
SELECT pg_try_advisory_lock(hashtextextended($1, 0))
