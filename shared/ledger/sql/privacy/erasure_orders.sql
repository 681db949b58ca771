-- Give some of the customer's orders to the pseudonym, and remove the names they were placed under and their metadata.
UPDATE orders SET customer_key = $1, customer = NULL, details = CASE WHEN details IS NULL THEN NULL ELSE jsonb_set(details, '{5}', 'null') END,
    lines = (SELECT jsonb_agg(line - 6 ORDER BY position) FROM jsonb_array_elements(lines) WITH ORDINALITY AS listed (line, position))
WHERE order_id IN (
    SELECT order_id FROM orders WHERE customer_key = ANY($2::uuid[]) ORDER BY order_id LIMIT $3 FOR UPDATE
)
