-- Return the first of some times at which PostgreSQL's and Python's time zone data disagree; no row if they agree.
SELECT moment FROM unnest($2::timestamptz[], $3::timestamp[]) AS shown (moment, clock)
WHERE moment AT TIME ZONE $1::text <> clock
ORDER BY moment
LIMIT 1
