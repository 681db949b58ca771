-- Read the next chunk of stored HTTP responses, with the text of those that may name the customer. All are UTF-8 text.
SELECT caller, idempotency_key,
    CASE WHEN lower(body) LIKE ANY($2::text[]) OR body ~ ANY($3::text[]) OR body ~ '[^\x01-\x7f]' THEN body END AS text
FROM (
    SELECT caller, idempotency_key,
        CASE WHEN started_at <= $4 AND (media_type LIKE '%json%' OR media_type LIKE 'text/%') THEN convert_from(body, 'UTF8') END AS body
    FROM http_answers
    WHERE (caller, idempotency_key) > ($5, $6)
    ORDER BY caller, idempotency_key
    LIMIT $1
) AS piece
ORDER BY caller, idempotency_key
