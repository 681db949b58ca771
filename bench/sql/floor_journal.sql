-- Insert the verdicts of a batch with one statement, as the engine does.
INSERT INTO journal (command_id, fingerprint, kind, outcome, reasons, order_id, verdict, decided_at)
SELECT command_id, fingerprint, kind, outcome, string_to_array(reasons, ','), order_id, verdict, $8
FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[], $5::text[], $6::text[], $7::json[])
    AS entry (command_id, fingerprint, kind, outcome, reasons, order_id, verdict)
