-- Read the definitions that changed since the campaign cache read them.
SELECT campaign_id, version, definition::text FROM campaigns WHERE version > $1 ORDER BY version
