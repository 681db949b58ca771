-- The step that has something left to do: a batch may have written rows of the person after it was done. Null where none has.
SELECT CASE
    WHEN EXISTS (SELECT FROM coupons WHERE holder_key = ANY($1::uuid[])) THEN 'coupons'
    WHEN EXISTS (SELECT FROM orders WHERE customer_key = ANY($1::uuid[])) THEN 'orders'
    WHEN EXISTS (SELECT FROM locks WHERE customer_key = ANY($1::uuid[])) THEN 'locks'
    WHEN EXISTS (SELECT FROM ledger_entries WHERE customer_key = ANY($1::uuid[])) THEN 'ledger_entries'
    WHEN EXISTS (SELECT FROM journal WHERE verdict ->> 'customer_key' = ANY($1::uuid[]::text[])) THEN 'journal'
END
