-- Give coupons of a pool to customers.
UPDATE coupons SET status = 'active', holder_key = taken.holder_key, uses_limit = taken.uses_limit, starts_at = taken.starts_at,
                   ends_at = taken.ends_at, occasion = taken.occasion, issued_at = $7
FROM unnest($1::uuid[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::text[])
    AS taken (coupon_id, holder_key, uses_limit, starts_at, ends_at, occasion)
WHERE coupons.coupon_id = taken.coupon_id
