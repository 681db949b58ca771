-- Make the first of the merged customers a customer again; the others of them are merged into it.
UPDATE customers SET merged_into = CASE WHEN customer_key = $1 THEN NULL ELSE $1::uuid END
WHERE customer_key = ANY($2::uuid[])
