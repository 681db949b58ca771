-- Add a waiting job, unless its caller has reached the limits. Adding it again changes nothing.
INSERT INTO jobs (job_id, caller, campaign_id, total)
SELECT $1, $2, $3, $4
WHERE (
    SELECT count(*) < $5 AND coalesce(sum(total - done), 0) + $4::integer <= $6::bigint
    FROM jobs WHERE caller = $2 AND status IN ('waiting', 'running')
)
ON CONFLICT (job_id) DO NOTHING
