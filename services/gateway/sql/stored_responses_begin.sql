-- Take requests for this process to answer: new ones, and those that ended without a response. Those were begun by a
-- process that died (its advisory lock has ended), or by this one, which knows its requests in progress. Sorted,
-- because several gateways insert concurrently.
INSERT INTO http_answers (caller, idempotency_key, fingerprint, owner)
SELECT caller, idempotency_key, fingerprint, $4
FROM unnest($1::text[], $2::text[], $3::bytea[]) AS requested (caller, idempotency_key, fingerprint)
ORDER BY caller, idempotency_key
ON CONFLICT (caller, idempotency_key) DO UPDATE
SET owner = excluded.owner, started_at = now()
WHERE http_answers.status IS NULL
  AND http_answers.fingerprint = excluded.fingerprint
  AND (http_answers.owner = excluded.owner OR NOT EXISTS (
      SELECT FROM pg_locks
      WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid = $5::integer::oid AND objid = http_answers.owner::oid AND objsubid = 2 AND granted
  ))
RETURNING caller, idempotency_key
