-- Insert what this batch's locks hold now.
INSERT INTO lock_uses (lock_reference, coupon_id, campaign_id, uses, discount_minor, currency, lines, counted_at, subscription_id)
SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::integer[], $5::bigint[], $6::text[], $7::jsonb[], $8::timestamptz[], $9::text[])
