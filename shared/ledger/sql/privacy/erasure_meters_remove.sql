-- Delete the customer's own totals. They are empty: the pseudonym has them now.
DELETE FROM meters WHERE customer_key = ANY($1::uuid[])
