-- Look at the coupons of campaigns whose reminders or end have changed. What has ended before is left as it is.
INSERT INTO coupon_reminders (coupon_id, due_at)
SELECT coupon_id, $2 FROM coupons
WHERE campaign_id = ANY($1::text[]) AND holder_key IS NOT NULL AND status = 'active' AND (ends_at IS NULL OR ends_at > $2)
ORDER BY coupon_id
ON CONFLICT (coupon_id) DO UPDATE SET due_at = excluded.due_at
