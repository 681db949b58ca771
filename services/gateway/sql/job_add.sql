-- A job that waits for a gateway, unless its caller has too much waiting; the same one again is the one that is there.
INSERT INTO jobs (job_id, caller, campaign_id, total)
SELECT $1, $2, $3, $4
WHERE (
    SELECT count(*) < $5 AND coalesce(sum(total - done), 0) + $4::integer <= $6::bigint
    FROM jobs WHERE caller = $2 AND status IN ('waiting', 'running')
)
ON CONFLICT (job_id) DO NOTHING
