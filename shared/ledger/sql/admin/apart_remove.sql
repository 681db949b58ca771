-- Delete the pairs that keep two customers apart, whatever identifiers they name.
DELETE FROM separate_customers AS apart
USING customer_identifiers AS one, customer_identifiers AS other
WHERE (one.kind, one.value) = (apart.kind, apart.value) AND (other.kind, other.value) = (apart.other_kind, apart.other_value)
  AND (one.customer_key, other.customer_key) IN (($1::uuid, $2::uuid), ($2::uuid, $1::uuid))
