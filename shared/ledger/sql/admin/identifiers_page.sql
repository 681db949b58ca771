-- Read a page of all identifiers, to find those that are stored in an earlier form.
SELECT kind, value, customer_key::text
FROM customer_identifiers
WHERE (kind, value) > ($1, $2)
ORDER BY kind, value
LIMIT $3
