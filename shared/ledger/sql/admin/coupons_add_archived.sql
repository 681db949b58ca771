-- Add the single coupon of an archived campaign with a shared code: with the key, or, if another coupon has it, as freed.
WITH added AS (
    INSERT INTO coupons (coupon_id, code, code_key, freed_key, campaign_id, status, uses_limit, issued_at)
    SELECT coupon_id, code, CASE WHEN free THEN code_key END, CASE WHEN NOT free THEN code_key END, campaign_id, 'active', uses_limit, now()
    FROM (
        SELECT wanted.*, row_number() OVER (PARTITION BY code_key ORDER BY campaign_id) = 1
            AND NOT EXISTS (SELECT FROM coupons WHERE coupons.code_key = wanted.code_key) AS free
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::integer[])
            AS wanted (coupon_id, code, code_key, campaign_id, uses_limit)
    ) AS wanted
    WHERE NOT EXISTS (
        SELECT FROM coupons
        WHERE (coupons.code_key = wanted.code_key OR coupons.freed_key = wanted.code_key) AND coupons.campaign_id = wanted.campaign_id
    )
    ON CONFLICT (coupon_id) DO NOTHING
    RETURNING campaign_id, code_key
)
UPDATE campaigns SET codes_freed_at = now()
FROM added WHERE campaigns.campaign_id = added.campaign_id AND added.code_key IS NULL
