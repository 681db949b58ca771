-- Insert new coupons. A code that exists already breaks the unique index: the batch runs again with other codes.
INSERT INTO coupons (coupon_id, code, code_key, campaign_id, status, holder_key, uses_limit, starts_at, ends_at, occasion, issued_at)
SELECT coupon_id, code, code_key, campaign_id, 'active', holder_key, uses_limit, starts_at, ends_at, occasion, $10
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::integer[], $7::timestamptz[], $8::timestamptz[], $9::text[])
    AS coupon (coupon_id, code, code_key, campaign_id, holder_key, uses_limit, starts_at, ends_at, occasion)
