-- Read the next chunk of webhook attempts, with the errors that may name the customer.
SELECT delivery_id, attempt,
    CASE WHEN attempted_at <= $4 AND (lower(error) LIKE ANY($2::text[]) OR error ~ ANY($3::text[]))
         THEN error END AS text
FROM webhook_attempts
WHERE (delivery_id, attempt) > ($5, $6)
ORDER BY delivery_id, attempt
LIMIT $1
