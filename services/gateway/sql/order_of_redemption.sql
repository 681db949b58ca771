-- The order of a redemption that was told under this id.
SELECT order_id FROM transfers
WHERE redemption_id = $1::uuid AND kind = 'burned' AND order_id IS NOT NULL
LIMIT 1
