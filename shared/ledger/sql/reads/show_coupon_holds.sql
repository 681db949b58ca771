-- List the open locks that hold uses of one coupon now; an expired lock holds nothing.
SELECT lock_reference, lock_uses.uses, locks.order_id, locks.expires_at
FROM lock_uses JOIN locks USING (lock_reference)
WHERE lock_uses.coupon_id = $1::uuid AND locks.status = 'open' AND locks.expires_at > clock_timestamp()
ORDER BY locks.expires_at, lock_reference
LIMIT $2
