-- Count the issued coupons of each campaign. A shared code counts as one.
SELECT campaign_id, count(*) AS issued
FROM coupons
WHERE status <> 'pooled' AND ($1::text IS NULL OR campaign_id = $1)
  AND ($2::timestamptz IS NULL OR coalesce(issued_at, '-infinity') >= $2)
  AND ($3::timestamptz IS NULL OR coalesce(issued_at, '-infinity') < $3)
  AND ($4::text[] IS NULL OR campaign_id IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($4)))
GROUP BY campaign_id
