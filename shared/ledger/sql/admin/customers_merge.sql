-- Point the merged persons, and whoever was merged into them before, to the one who stays.
UPDATE customers SET merged_into = $1
WHERE customer_key = ANY($2::uuid[]) OR merged_into = ANY($2::uuid[])
