-- Entries that hang in the air: the foreign keys that the hot path does without. The engine's own commands begin with "expire ".
SELECT format('transfer %s', transfer_id) AS what, 'a coupon of campaign ' || transfers.campaign_id AS expected,
       coalesce('a coupon of campaign ' || coupons.campaign_id, 'no coupon') AS found
FROM transfers LEFT JOIN coupons USING (coupon_id)
WHERE coupons.campaign_id IS DISTINCT FROM transfers.campaign_id
UNION ALL
SELECT format('transfer %s', transfer_id), 'a recorded command', 'none: ' || transfers.command_id
FROM transfers LEFT JOIN journal USING (command_id)
WHERE journal.command_id IS NULL AND transfers.command_id NOT LIKE 'expire %'
LIMIT $1
