-- Return the customer of each identifier. Identifiers of merged customers point to the customer that remains.
SELECT kind, value, customer_key::text
FROM customer_identifiers
JOIN unnest($1::text[], $2::text[]) AS wanted (kind, value) USING (kind, value)
