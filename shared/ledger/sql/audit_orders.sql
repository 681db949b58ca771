-- The promise that an order uses a coupon once: burns less restores, order by order.
SELECT format('order %s, coupon %s', order_id, coupon_id) AS what, '0 or 1' AS expected, sum(used_uses)::text AS found
FROM transfers
WHERE order_id IS NOT NULL AND kind IN ('burned', 'restored')
GROUP BY order_id, coupon_id
HAVING sum(used_uses) NOT IN (0, 1)
LIMIT $1
