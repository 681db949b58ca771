-- Definitions of campaigns as they are, secrets and all: for who changes them.
SELECT campaign_id, definition::text AS definition FROM campaigns WHERE campaign_id = ANY ($1::text[])
