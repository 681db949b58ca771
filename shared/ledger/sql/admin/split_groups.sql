-- Count a customer's identifiers by the customer that had them before the first merge, and how many of these leave.
SELECT first_key::text, count(*) AS identifiers, count(leaving.kind) AS leaving
FROM customer_identifiers
LEFT JOIN unnest($2::text[], $3::text[]) AS leaving (kind, value) USING (kind, value)
WHERE customer_key = $1
GROUP BY first_key
