-- Move the merged customers' identifiers to the customer that remains, and record whose they were, for a split.
UPDATE customer_identifiers SET customer_key = $1, first_key = coalesce(first_key, customer_key)
WHERE customer_key = ANY($2::uuid[])
