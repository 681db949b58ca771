-- Read a page of a customer's locks, with the uses they hold.
SELECT lock_reference, json_build_object('lock', locks, 'uses', (
    SELECT coalesce(json_agg(lock_uses), '[]') FROM lock_uses WHERE lock_uses.lock_reference = locks.lock_reference
))::text AS row
FROM locks
WHERE customer_key = ANY($1::uuid[]) AND lock_reference > $3
ORDER BY lock_reference
LIMIT $2
