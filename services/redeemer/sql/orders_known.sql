-- Find the orders that the ledger knows: an event without coupons may take theirs away.
SELECT order_id FROM orders WHERE order_id = ANY($1::text[])
