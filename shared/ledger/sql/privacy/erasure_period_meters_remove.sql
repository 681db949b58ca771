-- Delete the customer's own totals of periods. They are empty: the pseudonym has them now.
DELETE FROM period_meters WHERE customer_key = ANY($1::uuid[])
