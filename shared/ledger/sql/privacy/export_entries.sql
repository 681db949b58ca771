-- Read a page of a customer's ledger entries.
SELECT entry_id, to_json(ledger_entries)::text AS row FROM ledger_entries
WHERE customer_key = ANY($1::uuid[]) AND entry_id > $3
ORDER BY entry_id
LIMIT $2
