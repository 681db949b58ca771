-- Count campaigns of these groups, or all, for the total of a list.
SELECT count(*) FROM campaigns WHERE $1::text[] IS NULL OR definition ->> 'group' = ANY ($1)
