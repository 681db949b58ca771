-- Free some codes of a campaign: the key moves to a column that blocks nothing. Coupons are locked in the order of batches.
UPDATE coupons SET freed_key = coupons.code_key, code_key = NULL
FROM (
    SELECT coupon_id FROM coupons
    WHERE campaign_id = $1 AND code_key IS NOT NULL
    ORDER BY coupon_id
    LIMIT $2
    FOR UPDATE
) AS freed
WHERE coupons.coupon_id = freed.coupon_id
