-- Read the next chunk of the orders, with those whose codes or metadata may name the customer.
SELECT order_id,
    CASE WHEN seen_at <= $4 AND (lower(json_build_array(details, lines)::text) LIKE ANY($2::text[])
                                 OR json_build_array(details, lines)::text ~ ANY($3::text[]))
         THEN json_build_array(details, lines)::text END AS text
FROM (SELECT * FROM orders WHERE order_id > $5 ORDER BY order_id LIMIT $1) AS piece
ORDER BY order_id
