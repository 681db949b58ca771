-- What the CHECK constraints promise, asked once more: nothing beyond its limit.
SELECT 'coupon ' || coupon_id AS what, 'at most ' || uses_limit AS expected, (held_uses + used_uses)::text AS found
FROM coupons WHERE held_uses + used_uses > uses_limit
UNION ALL
SELECT format('meter of campaign %s, customer %s', campaign_id, customer_key),
       format('at most %s coupons, %s uses', max_coupons, max_uses), format('%s coupons, %s uses', issued_coupons, held_uses + used_uses)
FROM meters WHERE issued_coupons > max_coupons OR held_uses + used_uses > max_uses
LIMIT $1
