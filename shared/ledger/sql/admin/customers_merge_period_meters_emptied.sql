-- The merged persons' own periods are in the sum now; nobody counts in them any more.
DELETE FROM period_meters WHERE customer_key = ANY($2::uuid[]) AND customer_key <> $1::uuid
