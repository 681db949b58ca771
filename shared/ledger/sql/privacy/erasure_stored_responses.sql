-- Delete stored responses that name the customer. If the same request comes again, the journal answers it.
DELETE FROM http_answers
USING unnest($1::text[], $2::text[]) AS erased (caller, idempotency_key)
WHERE http_answers.caller = erased.caller AND http_answers.idempotency_key = erased.idempotency_key AND http_answers.status IS NOT NULL
