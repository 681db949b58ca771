-- Show one customer by any identifier, with all identifiers.
SELECT person.customer_key::text, customers.created_at,
    ARRAY(
        SELECT kind || ' ' || value FROM customer_identifiers
        WHERE customer_key = person.customer_key ORDER BY kind = 'id' DESC, kind, value
    ) AS identifiers
FROM customer_identifiers AS person JOIN customers USING (customer_key)
WHERE person.kind = $1 AND person.value = $2
