-- Delete old jobs. Their coupons stay. A retry of the request then creates the job again, with the same codes.
DELETE FROM jobs
WHERE job_id = ANY (ARRAY(
    SELECT job_id FROM jobs
    WHERE status IN ('done', 'failed') AND updated_at < now() - make_interval(secs => $1)
    ORDER BY updated_at LIMIT $2
))
