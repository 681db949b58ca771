-- Move some of the customer's locks to the pseudonym.
UPDATE locks SET customer_key = $1
WHERE lock_reference IN (
    SELECT lock_reference FROM locks WHERE customer_key = ANY($2::uuid[]) ORDER BY lock_reference LIMIT $3 FOR UPDATE
)
