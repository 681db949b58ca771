-- Who holds uses of these coupons. The coupons' rows are locked by now, so nothing of it can change.
SELECT lock_uses.coupon_id::text, lock_reference, uses, customer_key::text, order_id, expires_at
FROM lock_uses JOIN locks USING (lock_reference)
WHERE lock_uses.coupon_id = ANY($1::uuid[]) AND status = 'open'
ORDER BY lock_reference
