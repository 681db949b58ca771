-- Revoke a key permanently. Returns no row if it was revoked before.
UPDATE api_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING key_id
