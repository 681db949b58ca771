-- A page of the ledger entries of a person.
SELECT transfer_id, to_json(transfers)::text AS row FROM transfers
WHERE customer_key = ANY($1::uuid[]) AND transfer_id > $3
ORDER BY transfer_id
LIMIT $2
