-- Share an advisory lock with other batches; changes of campaigns and merges of customers take it exclusively.
SELECT pg_advisory_xact_lock_shared($1)
