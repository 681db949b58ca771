-- Look at coupons at the given times: they were issued, or their end, status or uses have changed.
INSERT INTO coupon_reminders (coupon_id, due_at)
SELECT coupon_id, due_at FROM unnest($1::uuid[], $2::timestamptz[]) AS wanted (coupon_id, due_at)
ORDER BY coupon_id
ON CONFLICT (coupon_id) DO UPDATE SET due_at = least(coupon_reminders.due_at, excluded.due_at)
