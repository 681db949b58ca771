-- A job that waits for a gateway; the same one again is the one that is there.
INSERT INTO jobs (job_id, caller, campaign_id, total) VALUES ($1, $2, $3, $4)
ON CONFLICT (job_id) DO NOTHING
