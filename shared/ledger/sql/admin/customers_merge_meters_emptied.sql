-- Empty the merged customers' own totals, which are in the sum now, so that nothing counts twice.
UPDATE meters SET issued_coupons = 0, held_uses = 0, used_uses = 0, held_minor = 0, used_minor = 0
WHERE customer_key = ANY($2::uuid[]) AND customer_key <> $1::uuid
