-- Return a page of endpoints with their stored secrets, by id, removed ones included, to check keys or rotate them.
SELECT endpoint_id, secret, previous_secret
FROM webhook_endpoints
WHERE endpoint_id > $1
ORDER BY endpoint_id
LIMIT $2
