-- Mark an archived campaign whose codes are freed: they are taken back if it becomes active again.
UPDATE campaigns SET codes_freed_at = coalesce(codes_freed_at, now())
WHERE campaign_id = $1 AND status = 'archived'
RETURNING true
