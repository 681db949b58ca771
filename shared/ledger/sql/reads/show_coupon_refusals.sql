-- List every refusal of a code or of its coupons, oldest first. Entries of earlier versions have no key: they are compared as then.
SELECT journal.decided_at AS at, journal.kind, journal.order_id, refused ->> 'reason' AS reason, refused ->> 'message' AS message,
    journal.command_id, refused ->> 'campaign_id' AS campaign_id
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'refused') AS refused
WHERE journal.reasons <> '{}'
    AND (refused_names(journal.verdict) && ($1::text[] || $2::text) OR refused_names(journal.verdict) IS NULL)
    AND (
        refused ->> 'coupon_id' = ANY ($1::text[]) OR refused ->> 'code_key' = $2
        OR (refused ->> 'code_key' IS NULL AND upper(btrim(refused ->> 'code')) = $3)
    )
ORDER BY journal.decided_at, journal.command_id
LIMIT $4
