-- Every name of a person; one more than may be.
SELECT kind, value FROM customer_identifiers WHERE customer_key = ANY($1::uuid[]) ORDER BY kind, value LIMIT $2
