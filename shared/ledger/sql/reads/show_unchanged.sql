-- List the requests for these orders that changed nothing, oldest first: nothing that a shop sends disappears without a trace.
SELECT decided_at AS at, kind, order_id, verdict ->> 'why' AS why, command_id
FROM journal
WHERE order_id = ANY ($1::text[]) AND outcome = 'unchanged' AND (verdict ->> 'why') IS NOT NULL
ORDER BY decided_at, command_id
LIMIT $2
