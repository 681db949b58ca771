-- Sent with each COMMIT: a record to wait for, so that under synchronous replication what was only read is replicated too.
SELECT CASE WHEN current_setting('synchronous_standby_names') <> '' AND current_setting('transaction_read_only') = 'off'
            THEN pg_logical_emit_message(true, 'couponry', '') END
