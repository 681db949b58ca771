-- Read a page of the verdicts on a customer's commands.
SELECT command_id, to_json(journal)::text AS row FROM journal
WHERE verdict ->> 'customer_key' = ANY($1::uuid[]::text[]) AND command_id > $3
ORDER BY command_id
LIMIT $2
