-- Find the orders whose content is known, or that have used or held coupons: an event without coupons changes them.
SELECT order_id FROM unnest($1::text[]) AS named (order_id)
WHERE EXISTS (SELECT FROM orders WHERE orders.order_id = named.order_id AND currency IS NOT NULL)
   OR EXISTS (SELECT FROM ledger_entries WHERE ledger_entries.order_id = named.order_id AND kind IN ('burned', 'restored'))
   OR EXISTS (SELECT FROM locks WHERE lock_reference = 'order:' || named.order_id)
