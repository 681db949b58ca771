-- How many campaigns there are, of these groups or of all.
SELECT count(*) FROM campaigns WHERE $1::text[] IS NULL OR definition ->> 'group' = ANY ($1)
