-- Count the refused coupons of orders by reason. Reads all refusals of the ledger: for people, not for services.
SELECT refused ->> 'reason' AS reason, count(*) AS coupons
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'refused') AS refused
WHERE journal.reasons <> '{}' AND journal.kind IN ('RedeemCoupons', 'PayOrder')
GROUP BY reason
ORDER BY reason
