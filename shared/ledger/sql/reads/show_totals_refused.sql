-- Refused coupons of orders, counted by reason. Reads all refusals there ever were: for people, not for services.
SELECT refused ->> 'reason' AS reason, count(*) AS coupons
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'refused') AS refused
WHERE journal.reasons <> '{}' AND journal.kind IN ('RedeemCoupons', 'PayOrder')
GROUP BY reason
ORDER BY reason
