-- Return every identifier of a customer; one more than the limit, to notice that there are too many.
SELECT kind, value FROM customer_identifiers WHERE customer_key = ANY($1::uuid[]) ORDER BY kind, value LIMIT $2
