-- Write when to look at coupons again, and for which ends their events are published.
UPDATE coupon_reminders SET due_at = after.due_at, expiring_for = after.expiring_for, expired_for = after.expired_for
FROM unnest($1::uuid[], $2::timestamptz[], $3::timestamptz[], $4::timestamptz[])
    AS after (coupon_id, due_at, expiring_for, expired_for)
WHERE coupon_reminders.coupon_id = after.coupon_id
