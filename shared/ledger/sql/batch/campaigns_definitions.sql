-- Read definitions of campaigns with their secrets, for code that changes them.
SELECT campaign_id, definition::text AS definition FROM campaigns WHERE campaign_id = ANY ($1::text[])
