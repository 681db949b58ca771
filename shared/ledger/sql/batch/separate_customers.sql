-- Return the pairs of these customers that were split on purpose and are never merged.
SELECT DISTINCT one.customer_key::text, other.customer_key::text
FROM customer_identifiers AS one
JOIN separate_customers AS separate ON (separate.kind, separate.value) = (one.kind, one.value)
JOIN customer_identifiers AS other ON (other.kind, other.value) = (separate.other_kind, separate.other_value)
WHERE one.customer_key = ANY($1::uuid[]) AND other.customer_key = ANY($1::uuid[]) AND one.customer_key <> other.customer_key
