-- Return the first step that has rows left, since a batch may have written some after the step was done. Null if none
-- has.
SELECT CASE
    WHEN EXISTS (SELECT FROM coupons WHERE holder_key = ANY($1::uuid[])) THEN 'coupons'
    WHEN EXISTS (SELECT FROM orders WHERE customer_key = ANY($1::uuid[])) THEN 'orders'
    WHEN EXISTS (SELECT FROM locks WHERE customer_key = ANY($1::uuid[])) THEN 'locks'
    WHEN EXISTS (SELECT FROM ledger_entries WHERE customer_key = ANY($1::uuid[])) THEN 'ledger_entries'
    WHEN EXISTS (SELECT FROM journal WHERE verdict ->> 'customer_key' = ANY($1::uuid[]::text[])) THEN 'journal'
END
