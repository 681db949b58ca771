-- Store responses before they are sent, for retries.
UPDATE http_answers AS response
SET status = kept.status, media_type = kept.media_type, body = kept.body
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bytea[])
    AS kept (caller, idempotency_key, status, media_type, body)
WHERE response.caller = kept.caller AND response.idempotency_key = kept.idempotency_key AND response.owner = $6
