-- Note pairs of identifiers that never belong to one customer.
INSERT INTO separate_customers (kind, value, other_kind, other_value)
SELECT $1, $2, kind, value FROM unnest($3::text[], $4::text[]) AS separate (kind, value)
ON CONFLICT DO NOTHING
