-- The next chunk of the occasions of shared codes.
SELECT occasion, campaign_id, CASE WHEN lower(occasion) LIKE ANY($2::text[])
                                     OR (cardinality($3::text[]) > 0 AND regexp_replace(occasion, '[^0-9]', '', 'g') LIKE ANY($3::text[])) THEN occasion END AS text
FROM shared_occasions
WHERE (occasion, campaign_id) > ($5, $6) AND $4::timestamptz IS NOT NULL
ORDER BY occasion, campaign_id
LIMIT $1
