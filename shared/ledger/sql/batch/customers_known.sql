-- Return one identifier of each kind of the given customers, for conditions that read the customer: of several the first
-- in alphabetical order. A placeholder may have a million; of those only a thousand are read.
SELECT wanted.customer_key::text, kind, min(value COLLATE "C") AS value
FROM unnest($1::uuid[]) AS wanted (customer_key)
CROSS JOIN LATERAL (
    SELECT kind, value FROM customer_identifiers
    WHERE customer_identifiers.customer_key = wanted.customer_key
    LIMIT 1000
) AS known
GROUP BY wanted.customer_key, kind
