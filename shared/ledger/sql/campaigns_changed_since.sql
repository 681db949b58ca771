-- What the cache has to read again.
SELECT version, definition::text FROM campaigns WHERE version > $1 ORDER BY version
