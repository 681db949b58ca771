-- Replace the codes and the metadata of orders by ones without the customer.
UPDATE orders SET details = cleaned.details::jsonb, lines = cleaned.lines::jsonb
FROM unnest($1::text[], $2::text[], $3::text[]) AS cleaned (order_id, details, lines)
WHERE orders.order_id = cleaned.order_id
