-- Give some of the customer's orders to the pseudonym, and remove the names they were placed under, the codes as they were
-- typed, and all metadata.
UPDATE orders SET customer_key = $1, customer = NULL, details = jsonb_set(jsonb_set(details, '{0}', 'null'), '{5}', 'null'),
    lines = (SELECT jsonb_agg(line - 6 ORDER BY position) FROM jsonb_array_elements(lines) WITH ORDINALITY AS listed (line, position))
WHERE order_id IN (
    SELECT order_id FROM orders WHERE customer_key = ANY($2::uuid[]) ORDER BY order_id LIMIT $3 FOR UPDATE
)
