-- Delete meters that no limit needs any longer. They would no longer be updated, and a stale total is worse than none.
DELETE FROM meters
USING unnest($1::text[], $2::boolean[], $3::boolean[]) AS campaign (campaign_id, whole, customers)
WHERE meters.campaign_id = campaign.campaign_id
  AND NOT CASE WHEN customer_key = '00000000-0000-0000-0000-000000000000' THEN whole ELSE customers END
