-- List the open locks that hold uses of the coupons of one code now; an expired lock holds nothing.
SELECT lock_reference, lock_uses.uses, locks.order_id, locks.expires_at
FROM lock_uses JOIN locks USING (lock_reference)
WHERE lock_uses.coupon_id = ANY ($1::uuid[]) AND locks.status = 'open' AND locks.expires_at > clock_timestamp()
ORDER BY locks.expires_at, lock_reference
LIMIT $2
