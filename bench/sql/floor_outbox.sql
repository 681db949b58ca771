-- Insert the events of a batch with one statement, in their order.
INSERT INTO outbox (event_id, topic, key, type, source, subject, time, traceparent, data)
SELECT event_id, topic, key, type, source, subject, time, traceparent, data
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::text[], $9::json[])
    WITH ORDINALITY AS event (event_id, topic, key, type, source, subject, time, traceparent, data, ordinal)
ORDER BY ordinal
