-- Delete the pairs that keep two customers separate, whatever identifiers they name.
DELETE FROM separate_customers AS separate
USING customer_identifiers AS one, customer_identifiers AS other
WHERE (one.kind, one.value) = (separate.kind, separate.value) AND (other.kind, other.value) = (separate.other_kind, separate.other_value)
  AND (one.customer_key, other.customer_key) IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))
