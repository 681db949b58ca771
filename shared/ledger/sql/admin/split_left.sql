-- Count what stays with the remaining customer, each up to a limit.
SELECT
    (SELECT count(*) FROM (SELECT FROM coupons WHERE holder_key = $1 LIMIT $3) AS found) AS coupons,
    (SELECT count(*) FROM (SELECT FROM locks WHERE customer_key = $1 AND status = 'open' LIMIT $3) AS found) AS open_locks,
    (SELECT count(*) FROM (SELECT FROM orders WHERE customer_key = $1 LIMIT $3) AS found) AS orders,
    (SELECT count(*) FROM (SELECT FROM ledger_entries WHERE customer_key = ANY($2::uuid[]) LIMIT $3) AS found) AS ledger_entries
