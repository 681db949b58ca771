-- Lock some coupons that the customer holds, in the order in which batches lock them.
SELECT coupon_id::text, occasion, code FROM coupons
WHERE holder_key = ANY($1::uuid[])
ORDER BY coupon_id
LIMIT $2
FOR UPDATE
