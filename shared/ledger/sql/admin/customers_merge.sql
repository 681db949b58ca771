-- Point the merged customers, and those merged into them before, to the customer that remains.
UPDATE customers SET merged_into = $1
WHERE customer_key = ANY($2::uuid[]) OR merged_into = ANY($2::uuid[])
