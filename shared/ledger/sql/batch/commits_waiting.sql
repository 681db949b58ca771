-- Return those of these sessions that are still in a transaction that writes: their COMMIT waits. Any role may read
-- pg_locks.
SELECT DISTINCT pid FROM pg_locks
WHERE pid = ANY ($1::int[]) AND locktype = 'transactionid' AND mode = 'ExclusiveLock' AND granted
