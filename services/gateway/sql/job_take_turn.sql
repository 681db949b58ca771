-- Make other additions of jobs by the same caller wait until this transaction ends.
SELECT pg_advisory_xact_lock($1::integer, hashtext($2))
