-- Replace the customer in withheld events. The error text may quote the event, so it is removed too.
UPDATE outbox_withheld SET key = erased.key, subject = erased.subject, data = erased.data::json,
    error_text = '(removed by an erasure)'
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[]) AS erased (position, key, subject, data)
WHERE outbox_withheld.position = erased.position
