-- Give some of the customer's orders to the pseudonym, and remove the names they were placed under.
UPDATE orders SET customer_key = $1, customer = NULL
WHERE order_id IN (
    SELECT order_id FROM orders WHERE customer_key = ANY($2::uuid[]) ORDER BY order_id LIMIT $3 FOR UPDATE
)
