-- Read the identifiers of the holders of coupons, for the events of these coupons.
SELECT customer_key::text, kind, min(value) AS value FROM customer_identifiers
WHERE customer_key = ANY($1::uuid[])
GROUP BY customer_key, kind
