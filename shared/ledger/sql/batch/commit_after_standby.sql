-- Write a record to wait for, with each COMMIT, so that synchronous replication covers transactions that only read.
SELECT CASE WHEN current_setting('synchronous_standby_names') <> '' AND current_setting('transaction_read_only') = 'off'
            THEN pg_logical_emit_message(true, 'couponry', '') END
