-- Replace the customer in the errors of external sources.
UPDATE external_requests SET error = erased.error
FROM unnest($1::text[], $2::text[], $3::text[]) AS erased (command_id, campaign_id, error)
WHERE external_requests.command_id = erased.command_id AND external_requests.campaign_id = erased.campaign_id
