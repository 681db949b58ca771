-- A key is taken out of use, for good; nothing where it was already.
UPDATE api_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING key_id
