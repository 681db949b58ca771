-- Close an erasure and empty everything that names the customer.
UPDATE erasures SET stage = 'done', cursor = NULL, customer_keys = '{}', identifiers = '[]', updated_at = $2, finished_at = $2
WHERE erasure_id = $1
