-- Lock existing orders, in sorted order.
SELECT order_id, status, customer_key::text, placed_at, paid_at, cancelled_at, returned_at, changed_at, first_placed_at, currency, amount_minor,
       customer::text, requested_count, lines::text, details::text, returns::text
FROM orders
WHERE order_id = ANY($1::text[])
ORDER BY order_id
FOR UPDATE
