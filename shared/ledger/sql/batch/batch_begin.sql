-- A batch shares the ground it stands on with other batches; a change of campaigns or of who is who takes it alone.
SELECT pg_advisory_xact_lock_shared($1)
