-- Lock the totals that the batch may change, in the order of their key.
SELECT campaign_id, customer_key::text, issued_coupons, held_uses, used_uses, held_minor, used_minor
FROM meters
WHERE (campaign_id, customer_key) IN (SELECT * FROM unnest($1::text[], $2::uuid[]))
ORDER BY campaign_id, customer_key
FOR UPDATE
