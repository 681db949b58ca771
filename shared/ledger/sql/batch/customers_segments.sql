-- Store the segments that producers reported last; the rows are locked already.
UPDATE customers SET segments = ARRAY(SELECT jsonb_array_elements_text(said.segments))
FROM unnest($1::uuid[], $2::jsonb[]) AS said (customer_key, segments)
WHERE customers.customer_key = said.customer_key
