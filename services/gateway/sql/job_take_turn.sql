-- Holds other additions of jobs of the same caller until this transaction ends.
SELECT pg_advisory_xact_lock($1::integer, hashtext($2))
