-- Begin an erasure.
INSERT INTO erasures (erasure_id, pseudonym, requested_by, requested_at, free_text, customer_keys, identifiers, stage, counts)
VALUES ($1, $2, $3, $4, $5, $6::uuid[], $7::jsonb, $8, $9::jsonb)
