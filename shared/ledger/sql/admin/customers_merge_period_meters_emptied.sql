-- Empty the merged customers' own totals of periods, which are in the sum now.
DELETE FROM period_meters WHERE customer_key = ANY($2::uuid[]) AND customer_key <> $1::uuid
