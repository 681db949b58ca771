-- Record a finished part and return the lease, so that jobs take turns. Progress never decreases.
UPDATE jobs
SET done = greatest(done, $2), problem = $3, lease_until = NULL, updated_at = now(),
    status = CASE WHEN $3::text IS NOT NULL THEN 'failed' WHEN greatest(done, $2) >= total THEN 'done' ELSE 'running' END
WHERE job_id = $1 AND status = 'running'
