-- Find the orders that have used or held coupons: an event without coupons takes theirs away.
SELECT order_id FROM unnest($1::text[]) AS named (order_id)
WHERE EXISTS (SELECT FROM ledger_entries WHERE ledger_entries.order_id = named.order_id AND kind IN ('burned', 'restored'))
   OR EXISTS (SELECT FROM locks WHERE lock_reference = 'order:' || named.order_id)
