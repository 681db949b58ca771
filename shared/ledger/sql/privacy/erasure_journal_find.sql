-- Find some verdicts on the customer's own commands.
SELECT command_id, order_id, verdict::text FROM journal WHERE verdict ->> 'customer_key' = ANY($1::text[]) LIMIT $2
