-- Give the freed coupons of campaigns that become active again their keys back.
UPDATE coupons SET code_key = freed_key, freed_key = NULL
FROM campaigns
WHERE campaigns.campaign_id = coupons.campaign_id AND campaigns.campaign_id = ANY($1::text[]) AND campaigns.codes_freed_at IS NOT NULL
  AND coupons.freed_key IS NOT NULL AND coupons.key_taken_by IS NULL
