-- Find shared codes that another coupon has already: loading them would break the unique index. For people.
SELECT wanted.campaign_id, coupons.campaign_id AS owner
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS wanted (campaign_id, code_key, coupon_id)
JOIN coupons USING (code_key)
WHERE coupons.coupon_id <> wanted.coupon_id
