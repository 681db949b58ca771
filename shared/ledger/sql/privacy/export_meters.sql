-- Read a page of a customer's totals. Keys merged into another have none.
SELECT campaign_id, customer_key::text, to_json(meters)::text AS row FROM meters
WHERE customer_key = ANY($1::uuid[]) AND (campaign_id, customer_key) > ($3, $4)
ORDER BY campaign_id, customer_key
LIMIT $2
