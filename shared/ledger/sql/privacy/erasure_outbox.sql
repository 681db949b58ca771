-- Replace the customer in events, published or not.
UPDATE outbox SET key = erased.key, subject = erased.subject, data = erased.data::json
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS erased (position, key, subject, data)
WHERE outbox.position = erased.position
