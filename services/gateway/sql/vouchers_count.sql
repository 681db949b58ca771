-- Count the coupons of a campaign, of groups of campaigns, or of all campaigns, for the total of a list.
SELECT count(*) FROM coupons
WHERE ($1::text IS NULL OR campaign_id = $1)
  AND ($2::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($2)))
