-- Record responses. If two processes sent the same request at the same time, the first one recorded is kept.
UPDATE external_requests AS request
SET status = CASE request.status WHEN 'asked' THEN answer.status ELSE request.status END,
    code = CASE request.status WHEN 'asked' THEN answer.code ELSE request.code END,
    error = CASE request.status WHEN 'asked' THEN answer.error ELSE request.error END,
    answered_at = coalesce(request.answered_at, now())
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS answer (command_id, campaign_id, status, code, error)
WHERE request.command_id = answer.command_id AND request.campaign_id = answer.campaign_id
RETURNING request.command_id, request.campaign_id, request.status, request.code
