-- Read the next chunk of the occasions of revoked rewards.
SELECT occasion, CASE WHEN lower(occasion) LIKE ANY($2::text[]) OR occasion ~ ANY($3::text[]) THEN occasion END AS text
FROM revoked_rewards
WHERE occasion > $5 AND $4::timestamptz IS NOT NULL
ORDER BY occasion
LIMIT $1
