-- The next piece of webhook deliveries, with those that may name somebody. By what they tell of, not by when they were written:
-- the notifier may be behind. An earlier erasure's own event still has to reach its readers as it is.
SELECT delivery_id,
    CASE WHEN type <> 'customer.erased' AND $4::timestamptz IS NOT NULL AND (lower(payload) LIKE ANY($2::text[])
                                               OR (cardinality($3::text[]) > 0 AND regexp_replace(payload, '[^0-9]', '', 'g') LIKE ANY($3::text[])))
         THEN payload END AS text
FROM (SELECT * FROM webhook_deliveries WHERE delivery_id > $5 ORDER BY delivery_id LIMIT $1) AS piece
ORDER BY delivery_id
