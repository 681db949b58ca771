-- Move the merged customers' coupons to the customer that remains.
UPDATE coupons SET holder_key = $1 WHERE holder_key = ANY($2::uuid[])
