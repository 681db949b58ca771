-- What locks hold.
SELECT lock_reference, coupon_id::text, campaign_id, uses, discount_minor, currency, lines::text, counted_at, subscription_id
FROM lock_uses
WHERE lock_reference = ANY($1::text[])
ORDER BY lock_reference, coupon_id
