-- Record that campaigns have their codes again.
UPDATE campaigns SET codes_freed_at = NULL WHERE campaign_id = ANY($1::text[]) AND codes_freed_at IS NOT NULL
