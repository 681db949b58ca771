-- Read a page of coupons that orders were refused, newest first. A null filter selects everything. Entries of earlier versions
-- have no key of a code: they are compared as then.
SELECT journal.decided_at AS at, journal.command_id, journal.order_id, coalesce(refused ->> 'code', '') AS code,
    refused ->> 'coupon_id' AS coupon_id, refused ->> 'campaign_id' AS campaign_id, refused ->> 'reason' AS reason,
    refused ->> 'message' AS message, journal.verdict ->> 'currency' AS currency
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'refused') AS refused
WHERE journal.reasons <> '{}' AND journal.kind IN ('RedeemCoupons', 'PayOrder')
  AND ($1::text IS NULL OR (journal.reasons @> ARRAY[$1::text] AND refused ->> 'reason' = $1))
  AND ($2::timestamptz IS NULL OR journal.decided_at >= $2)
  AND ($3::timestamptz IS NULL OR journal.decided_at < $3)
  AND ($4::text IS NULL OR refused ->> 'campaign_id' = $4)
  AND ($5::text IS NULL OR journal.verdict ->> 'customer_key' = $5)
  AND ($6::text IS NULL OR journal.order_id = $6)
  AND ($7::text IS NULL OR refused_names(journal.verdict) @> ARRAY[$7::text] OR refused_names(journal.verdict) IS NULL)
  AND ($7::text IS NULL OR refused ->> 'code_key' = $7 OR (refused ->> 'code_key' IS NULL AND upper(trim(refused ->> 'code')) = $14))
  AND ($8::timestamptz IS NULL OR journal.decided_at <= $8)
  AND ($8::timestamptz IS NULL
       OR (journal.decided_at, journal.command_id COLLATE "C", coalesce(refused ->> 'code', '') COLLATE "C") < ($8, $9, $10))
  AND ($12::text[] IS NULL OR refused ->> 'campaign_id' IN (SELECT campaign_id FROM campaigns WHERE definition ->> 'group' = ANY ($12)))
  AND ($13::text IS NULL OR starts_with(journal.order_id, $13))
ORDER BY journal.decided_at DESC, journal.command_id COLLATE "C" DESC, coalesce(refused ->> 'code', '') COLLATE "C" DESC
LIMIT $11
