-- Lock the totals of periods that the batch may change, in the order of their key.
SELECT campaign_id, customer_key::text, period, issued_coupons, held_uses, used_uses
FROM period_meters
WHERE (campaign_id, customer_key, period) IN (SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[]))
ORDER BY campaign_id, customer_key, period
FOR UPDATE
