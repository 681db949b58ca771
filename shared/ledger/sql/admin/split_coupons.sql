-- Give back the coupons that were issued to the customers that come back.
UPDATE coupons SET holder_key = $1 WHERE holder_key = $2 AND coupon_id = ANY($3::uuid[])
