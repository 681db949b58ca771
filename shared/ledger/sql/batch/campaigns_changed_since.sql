-- The definitions that the campaign cache has to read again.
SELECT campaign_id, version, definition::text FROM campaigns WHERE version > $1 ORDER BY version
