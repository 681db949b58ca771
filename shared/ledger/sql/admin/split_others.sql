-- Return a customer's identifiers except the given ones; one more than the limit, to notice that there are too many.
SELECT kind, value
FROM customer_identifiers
WHERE customer_key = $1 AND (kind, value) NOT IN (SELECT * FROM unnest($2::text[], $3::text[]))
ORDER BY kind, value
LIMIT $4
