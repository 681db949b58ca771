-- Read the next chunk of webhook deliveries, with the text of those that may name the customer (also with
-- letters or digits beyond ASCII). Selected by the time of
-- the event, not of the row, because the notifier may lag. An earlier erasure's own event must reach its readers
-- unchanged.
SELECT delivery_id,
    CASE WHEN type <> 'customer.erased' AND $4::timestamptz IS NOT NULL AND (lower(payload) LIKE ANY($2::text[])
                                               OR payload ~ ANY($3::text[]) OR payload ~ '[^\x01-\x7f]')
         THEN payload END AS text
FROM (SELECT * FROM webhook_deliveries WHERE delivery_id > $5 ORDER BY delivery_id LIMIT $1) AS piece
ORDER BY delivery_id
