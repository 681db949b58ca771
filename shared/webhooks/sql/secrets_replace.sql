-- Store the same secrets encrypted under another key, unless an endpoint's secret was replaced in the meantime.
UPDATE webhook_endpoints AS endpoint
SET secret = wanted.secret, previous_secret = wanted.previous_secret
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS wanted (endpoint_id, secret_before, previous_before, secret, previous_secret)
WHERE endpoint.endpoint_id = wanted.endpoint_id
  AND endpoint.secret = wanted.secret_before
  AND endpoint.previous_secret IS NOT DISTINCT FROM wanted.previous_before
