-- Replace the customer in webhook deliveries; one that is still to be sent is sent that way.
UPDATE webhook_deliveries SET payload = erased.payload
FROM unnest($1::bigint[], $2::text[]) AS erased (delivery_id, payload)
WHERE webhook_deliveries.delivery_id = erased.delivery_id
