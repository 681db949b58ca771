-- Read a page of a customer's totals of periods.
SELECT campaign_id, customer_key::text, period, to_json(period_meters)::text AS row FROM period_meters
WHERE customer_key = ANY($1::uuid[]) AND (campaign_id, customer_key, period) > ($3, $4, $5)
ORDER BY campaign_id, customer_key, period
LIMIT $2
