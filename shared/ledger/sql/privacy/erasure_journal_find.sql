-- Some verdicts on what the person asked for.
SELECT command_id, order_id, verdict::text FROM journal WHERE verdict ->> 'customer_key' = ANY($1::text[]) LIMIT $2
