-- List all keys, oldest first. Not paged, because there is about one key per calling system.
SELECT key_id, name, scopes, campaign_groups, created_at, revoked_at FROM api_keys ORDER BY created_at, key_id
