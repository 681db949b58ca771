-- Read a page of a customer's identifiers.
SELECT kind, value, json_build_object('kind', kind, 'value', value)::text AS row
FROM customer_identifiers
WHERE customer_key = ANY($1::uuid[]) AND (kind, value) > ($3, $4)
ORDER BY kind, value
LIMIT $2
