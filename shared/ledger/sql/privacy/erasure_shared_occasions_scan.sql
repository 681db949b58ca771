-- Read the next chunk of the occasions of shared codes.
SELECT occasion, campaign_id, CASE WHEN lower(occasion) LIKE ANY($2::text[])
                                     OR occasion ~ ANY($3::text[]) THEN occasion END AS text
FROM shared_occasions
WHERE (occasion, campaign_id) > ($5, $6) AND $4::timestamptz IS NOT NULL
ORDER BY occasion, campaign_id
LIMIT $1
