-- Read a page of the requests to external sources for a customer.
SELECT command_id, campaign_id, to_json(external_requests)::text AS row
FROM external_requests
WHERE command_id = ANY (ARRAY(SELECT command_id FROM journal WHERE verdict ->> 'customer_key' = ANY($1::uuid[]::text[])))
  AND (command_id, campaign_id) > ($3, $4)
ORDER BY command_id, campaign_id
LIMIT $2
