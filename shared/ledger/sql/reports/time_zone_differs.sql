-- The first of some moments that the clock of a time zone shows otherwise here than where the decision is made; none where all agree.
SELECT moment FROM unnest($2::timestamptz[], $3::timestamp[]) AS shown (moment, clock)
WHERE moment AT TIME ZONE $1::text <> clock
ORDER BY moment
LIMIT 1
