-- Give the identifiers that leave to their customer.
UPDATE customer_identifiers SET customer_key = $1, first_key = nullif(first_key, $1)
FROM unnest($2::text[], $3::text[]) AS leaving (kind, value)
WHERE (customer_identifiers.kind, customer_identifiers.value) = (leaving.kind, leaving.value)
