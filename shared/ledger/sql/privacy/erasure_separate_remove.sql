-- Delete the pairs that name an identifier of the customer. Before the identifiers, because these find the pairs.
DELETE FROM separate_customers AS separate
USING customer_identifiers AS named
WHERE named.customer_key = ANY($1::uuid[])
  AND ((named.kind, named.value) = (separate.kind, separate.value) OR (named.kind, named.value) = (separate.other_kind, separate.other_value))
