-- Check that an order uses a coupon at most once and never returns more discount than it got: burns minus what
-- was returned, per order. (A recurring coupon that continues takes no use.)
SELECT format('order %s, coupon %s', order_id, coupon_id) AS what, '0 or 1 uses, no discount below 0' AS expected,
       format('%s uses, discount %s', sum(used_uses), sum(used_minor)) AS found
FROM ledger_entries
WHERE order_id IS NOT NULL AND (kind <> 'adjusted' OR redemption_id IS NOT NULL) AND kind IN ('burned', 'adjusted', 'returned', 'restored')
GROUP BY order_id, coupon_id
HAVING sum(used_uses) NOT IN (0, 1) OR sum(used_minor) < 0
LIMIT $1
