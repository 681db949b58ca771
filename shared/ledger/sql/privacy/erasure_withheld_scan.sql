-- Read the next chunk of the withheld events, with those that may name the customer: an
-- identifier may be written with other letters or digits than ASCII.
-- An earlier erasure's own event must reach its readers unchanged.
SELECT position,
    CASE WHEN type <> 'customer.erased' AND (time <= $4 OR type = 'coupon.redemption_notified') AND (lower(data::text) LIKE ANY($2::text[])
                              OR data::text ~ ANY($3::text[]) OR data::text ~ '[^\x01-\x7f]')
         THEN data::text END AS text,
    key, subject, topic, time
FROM (SELECT * FROM outbox_withheld WHERE position > $5 ORDER BY position LIMIT $1) AS piece
ORDER BY position
