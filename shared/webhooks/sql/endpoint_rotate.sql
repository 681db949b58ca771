-- Store a new secret; calls are also signed with the previous one for a while.
UPDATE webhook_endpoints
SET previous_secret = secret, previous_secret_until = now() + make_interval(secs => $3), secret = $2
WHERE endpoint_id = $1 AND deleted_at IS NULL
RETURNING endpoint_id
