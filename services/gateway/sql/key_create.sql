-- Add a key, with only the hash of its secret.
INSERT INTO api_keys (key_id, name, secret_hash, scopes, campaign_groups) VALUES ($1, $2, $3, $4, $5)
