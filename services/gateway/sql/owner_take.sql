-- Take the lock that shows that this process is alive. Once its connection ends, others may answer its requests.
SELECT CASE WHEN held.there THEN true ELSE pg_try_advisory_lock($1::integer, $2::integer) END
FROM (
    SELECT EXISTS (
        SELECT FROM pg_locks
        WHERE locktype = 'advisory' AND pid = pg_backend_pid()
          AND classid = $1::integer::oid AND objid = $2::integer::oid AND objsubid = 2
    ) AS there
) AS held
