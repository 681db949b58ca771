-- Check again what the CHECK constraints guarantee: nothing is used beyond its limit.
SELECT 'coupon ' || coupon_id AS what, 'at most ' || uses_limit AS expected, (held_uses + used_uses)::text AS found
FROM coupons WHERE held_uses + used_uses > uses_limit
UNION ALL
SELECT format('meter of campaign %s, customer %s', campaign_id, customer_key),
       format('at most %s coupons, %s uses, %s', max_coupons, max_uses, max_minor),
       format('%s coupons, %s uses, %s', issued_coupons, held_uses + used_uses, held_minor + used_minor)
FROM meters WHERE issued_coupons > max_coupons OR held_uses + used_uses > max_uses OR held_minor + used_minor > max_minor
UNION ALL
SELECT format('meter of campaign %s, customer %s, %s', campaign_id, customer_key, period),
       format('at most %s coupons, %s uses', max_coupons, max_uses), format('%s coupons, %s uses', issued_coupons, held_uses + used_uses)
FROM period_meters WHERE issued_coupons > max_coupons OR held_uses + used_uses > max_uses
LIMIT $1
