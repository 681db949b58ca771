-- List coupons that orders were refused, newest first. Limits the number of verdicts before expanding them.
SELECT latest.decided_at AS at, latest.order_id, refused ->> 'code' AS code, refused ->> 'campaign_id' AS campaign_id,
    refused ->> 'reason' AS reason, refused ->> 'message' AS message, latest.command_id
FROM (
    SELECT decided_at, order_id, verdict, command_id
    FROM journal
    WHERE reasons <> '{}' AND kind IN ('RedeemCoupons', 'PayOrder') AND decided_at >= $1
        AND ($2::text IS NULL OR reasons @> ARRAY[$2::text])
        AND ($4::text IS NULL OR order_id = $4) AND ($5::text IS NULL OR starts_with(order_id, $5))
    ORDER BY decided_at DESC, command_id
    LIMIT $3
) AS latest CROSS JOIN LATERAL json_array_elements(latest.verdict -> 'refused') AS refused
WHERE $2::text IS NULL OR refused ->> 'reason' = $2
ORDER BY latest.decided_at DESC, latest.command_id, code
LIMIT $3
