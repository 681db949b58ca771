-- Delete the pairs that name an identifier of the customer. Before the identifiers, because these find the pairs.
DELETE FROM separate_customers AS apart
USING customer_identifiers AS named
WHERE named.customer_key = ANY($1::uuid[])
  AND ((named.kind, named.value) = (apart.kind, apart.value) OR (named.kind, named.value) = (apart.other_kind, apart.other_value))
