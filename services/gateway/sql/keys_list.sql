-- Every key, oldest first; there are as many as there are systems that call.
SELECT key_id, name, scopes, campaign_groups, created_at, revoked_at FROM api_keys ORDER BY created_at, key_id
