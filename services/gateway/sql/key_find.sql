-- Find the key of a request, unless it was revoked.
SELECT secret_hash, scopes, campaign_groups FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL
