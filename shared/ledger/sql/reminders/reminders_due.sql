-- Lock reminders that are due with their coupons, the oldest first. Skip those that another sweep or batch has locked.
SELECT coupon_id::text, code, campaign_id, status, holder_key::text, used_uses, held_uses, starts_at, ends_at, revoked,
       expiring_for, expired_for
FROM coupon_reminders JOIN coupons USING (coupon_id)
WHERE due_at <= $1
ORDER BY due_at
LIMIT $2
FOR UPDATE SKIP LOCKED
