-- Make the pseudonym the holder of the customer's coupons, and replace an occasion that names the customer.
UPDATE coupons
SET holder_key = $1, occasion = CASE WHEN erased.names THEN 'erased ' || gen_random_uuid() ELSE occasion END
FROM unnest($2::uuid[], $3::boolean[]) AS erased (coupon_id, names)
WHERE coupons.coupon_id = erased.coupon_id
