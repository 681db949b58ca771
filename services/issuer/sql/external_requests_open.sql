-- Record requests before they are sent. Rows of an earlier attempt are returned unchanged, with their key and answer.
INSERT INTO external_requests (command_id, campaign_id, idempotency_key)
SELECT command_id, campaign_id, idempotency_key
FROM unnest($1::text[], $2::text[], $3::uuid[]) AS wanted (command_id, campaign_id, idempotency_key)
ORDER BY command_id, campaign_id
ON CONFLICT (command_id, campaign_id) DO UPDATE
    SET asked_at = CASE external_requests.status WHEN 'asked' THEN now() ELSE external_requests.asked_at END
RETURNING command_id, campaign_id, idempotency_key, status, code
