-- Give the customer that remains every segment of the merged customers.
UPDATE customers SET segments = together.segments
FROM (
    SELECT array_agg(DISTINCT segment ORDER BY segment) AS segments
    FROM customers, unnest(segments) AS segment
    WHERE customer_key = ANY($2::uuid[] || $1::uuid)
) AS together
WHERE customer_key = $1::uuid AND together.segments IS NOT NULL
