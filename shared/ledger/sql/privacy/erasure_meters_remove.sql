-- The person's running totals are the pseudonym's by now; their own are empty.
DELETE FROM meters WHERE customer_key = ANY($1::uuid[])
