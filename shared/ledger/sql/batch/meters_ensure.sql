-- Insert missing meters before locking. A row that doesn't exist can't be locked: two batches would see zero and both
-- accept.
INSERT INTO meters (campaign_id, customer_key, max_coupons, max_uses, max_minor)
SELECT campaign_id, customer_key, max_coupons, max_uses, max_minor
FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::integer[], $5::bigint[])
    AS wanted (campaign_id, customer_key, max_coupons, max_uses, max_minor)
WHERE NOT EXISTS (SELECT FROM meters WHERE (meters.campaign_id, meters.customer_key) = (wanted.campaign_id, wanted.customer_key))
ORDER BY campaign_id, customer_key
ON CONFLICT DO NOTHING
