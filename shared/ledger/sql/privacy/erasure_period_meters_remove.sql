-- The same of periods.
DELETE FROM period_meters WHERE customer_key = ANY($1::uuid[])
