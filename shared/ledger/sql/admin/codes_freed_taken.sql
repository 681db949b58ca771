-- Find a freed code of campaigns that become active again which another coupon has meanwhile, and count the freed codes.
SELECT freed.campaign_id, freed.code, taken.campaign_id AS owner, owners.status AS owner_status, freed.codes
FROM (
    SELECT campaign_id, code, freed_key, count(*) OVER (PARTITION BY campaign_id) AS codes
    FROM coupons JOIN campaigns USING (campaign_id)
    WHERE campaign_id = ANY($1::text[]) AND campaigns.codes_freed_at IS NOT NULL AND freed_key IS NOT NULL AND key_taken_by IS NULL
    LIMIT $2
) AS freed
LEFT JOIN coupons AS taken ON taken.code_key = freed.freed_key
LEFT JOIN campaigns AS owners ON owners.campaign_id = taken.campaign_id
ORDER BY taken.campaign_id IS NULL, freed.campaign_id, freed.code
LIMIT 1
