-- Replace the customer in the errors of webhook attempts.
UPDATE webhook_attempts SET error = erased.error
FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS erased (delivery_id, attempt, error)
WHERE webhook_attempts.delivery_id = erased.delivery_id AND webhook_attempts.attempt = erased.attempt
