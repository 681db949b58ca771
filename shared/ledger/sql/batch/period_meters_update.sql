-- Write totals of periods after the batch: one update each, however many commands counted in it.
UPDATE period_meters AS meter
SET issued_coupons = total.issued_coupons, held_uses = total.held_uses, used_uses = total.used_uses
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::integer[], $5::integer[], $6::integer[])
    AS total (campaign_id, customer_key, period, issued_coupons, held_uses, used_uses)
WHERE meter.campaign_id = total.campaign_id AND meter.customer_key = total.customer_key AND meter.period = total.period
