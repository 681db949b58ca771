-- Read the next chunk of requests to external sources, with the errors that may name the customer.
SELECT command_id, campaign_id,
    CASE WHEN asked_at <= $4 AND (lower(error) LIKE ANY($2::text[]) OR error ~ ANY($3::text[]))
         THEN error END AS text
FROM external_requests
WHERE (command_id, campaign_id) > ($5, $6)
ORDER BY command_id, campaign_id
LIMIT $1
