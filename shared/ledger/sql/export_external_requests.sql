-- A page of what external sources were asked for a person.
SELECT external_requests.command_id, campaign_id, to_json(external_requests)::text AS row
FROM journal JOIN external_requests USING (command_id)
WHERE journal.verdict ->> 'customer_key' = ANY($1::uuid[]::text[]) AND (external_requests.command_id, campaign_id) > ($3, $4)
ORDER BY external_requests.command_id, campaign_id
LIMIT $2
