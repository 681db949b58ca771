-- Lease the job without a lease that has waited longest, so that jobs take turns. The lease ends after a while, so that
-- another gateway can continue the job of one that died.
UPDATE jobs SET status = 'running', lease_until = now() + make_interval(secs => $1), updated_at = now()
WHERE job_id = (
    SELECT job_id FROM jobs
    WHERE status IN ('waiting', 'running') AND (lease_until IS NULL OR lease_until < now())
    ORDER BY updated_at LIMIT 1
    FOR UPDATE SKIP LOCKED
)
RETURNING job_id::text, caller, campaign_id, total, done, status, problem, created_at, updated_at
