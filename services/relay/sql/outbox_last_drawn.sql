-- Return the last position ever given to an event, deleted ones included; 0 if none.
SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('outbox', 'position')::regclass), 0)
