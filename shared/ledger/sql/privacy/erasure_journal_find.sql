-- Some verdicts on the person's own commands.
SELECT command_id, order_id, verdict::text FROM journal WHERE verdict ->> 'customer_key' = ANY($1::text[]) LIMIT $2
