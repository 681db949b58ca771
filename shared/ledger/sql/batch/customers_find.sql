-- Which person each identifier means. Merged persons' identifiers point to whom they were merged into.
SELECT kind, value, customer_key::text
FROM customer_identifiers
JOIN unnest($1::text[], $2::text[]) AS wanted (kind, value) USING (kind, value)
