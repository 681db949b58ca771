-- Insert missing totals of periods before locking, or two batches would each see zero and both accept.
INSERT INTO period_meters (campaign_id, customer_key, period, max_coupons, max_uses)
SELECT campaign_id, customer_key, period, max_coupons, max_uses
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::integer[], $5::integer[])
    AS wanted (campaign_id, customer_key, period, max_coupons, max_uses)
WHERE NOT EXISTS (
    SELECT FROM period_meters AS meter
    WHERE (meter.campaign_id, meter.customer_key, meter.period) = (wanted.campaign_id, wanted.customer_key, wanted.period)
)
ORDER BY campaign_id, customer_key, period
ON CONFLICT DO NOTHING
