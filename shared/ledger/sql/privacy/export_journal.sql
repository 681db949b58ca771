-- A page of the verdicts on a person's commands.
SELECT command_id, to_json(journal)::text AS row FROM journal
WHERE verdict ->> 'customer_key' = ANY($1::uuid[]::text[]) AND command_id > $3
ORDER BY command_id
LIMIT $2
