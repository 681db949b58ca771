-- Count the refused coupons of each campaign by reason.
SELECT refused ->> 'campaign_id' AS campaign_id, refused ->> 'reason' AS reason, count(*) AS refused
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'refused') AS refused
WHERE journal.reasons <> '{}' AND journal.kind IN ('RedeemCoupons', 'PayOrder')
  AND refused ->> 'campaign_id' IS NOT NULL
  AND ($1::text IS NULL OR refused ->> 'campaign_id' = $1)
  AND ($2::timestamptz IS NULL OR journal.decided_at >= $2) AND ($3::timestamptz IS NULL OR journal.decided_at < $3)
  AND ($4::text[] IS NULL OR refused ->> 'campaign_id' IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($4)))
GROUP BY 1, 2
