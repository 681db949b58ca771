-- List every refusal of a code, oldest first. Reads all refusals of the ledger: for people, not for services.
SELECT journal.decided_at AS at, journal.kind, journal.order_id, refused ->> 'reason' AS reason, refused ->> 'message' AS message,
    journal.command_id
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'refused') AS refused
WHERE journal.reasons <> '{}'
    AND (refused ->> 'coupon_id' = $1::text OR upper(btrim(refused ->> 'code')) = $2)
ORDER BY journal.decided_at, journal.command_id
LIMIT $3
