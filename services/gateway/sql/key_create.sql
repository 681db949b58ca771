-- A key just made; of its secret only the hash.
INSERT INTO api_keys (key_id, name, secret_hash, scopes, campaign_groups) VALUES ($1, $2, $3, $4, $5)
