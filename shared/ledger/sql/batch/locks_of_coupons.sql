-- Read the open locks on these coupons that belong to the batch's customers or orders, and those whose time is over.
-- Other locks only count, and the coupon's row has that count.
SELECT lock_uses.coupon_id::text, lock_reference, uses, customer_key::text, order_id, expires_at
FROM lock_uses JOIN locks USING (lock_reference)
WHERE lock_uses.coupon_id = ANY($1::uuid[]) AND status = 'open'
  AND (customer_key = ANY($2::uuid[]) OR order_id = ANY($3::text[]) OR expires_at <= $4)
ORDER BY lock_reference
