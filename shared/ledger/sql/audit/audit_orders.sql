-- The promise that an order uses a coupon once, and never gets back more of its discount than it was given: burns less what was
-- given back, order by order. (A recurring coupon that goes on takes no use.)
SELECT format('order %s, coupon %s', order_id, coupon_id) AS what, '0 or 1 uses, no discount below 0' AS expected,
       format('%s uses, discount %s', sum(used_uses), sum(used_minor)) AS found
FROM ledger_entries
WHERE order_id IS NOT NULL AND kind IN ('burned', 'returned', 'restored')
GROUP BY order_id, coupon_id
HAVING sum(used_uses) NOT IN (0, 1) OR sum(used_minor) < 0
LIMIT $1
