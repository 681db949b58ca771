-- Read a job.
SELECT job_id::text, caller, campaign_id, total, done, status, problem, created_at, updated_at
FROM jobs WHERE job_id = $1
