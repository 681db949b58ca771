-- The answers as they are about to be sent, for everybody who asks the same again.
UPDATE http_answers AS answer
SET status = told.status, media_type = told.media_type, body = told.body
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::text[], $5::bytea[])
    AS told (caller, idempotency_key, status, media_type, body)
WHERE answer.caller = told.caller AND answer.idempotency_key = told.idempotency_key AND answer.owner = $6
