-- Record the new events of a batch and return them: the key decides, even if two processes read the same event.
-- Sorted, so that two such processes can't deadlock.
INSERT INTO journal (command_id, fingerprint, kind, outcome, order_id, verdict, decided_at)
SELECT command_id, fingerprint, 'NotifyRedemption', outcome, order_id, json_build_object('outcome', outcome), now()
FROM unnest($1::text[], $2::bytea[], $3::text[], $4::text[]) AS entry (command_id, fingerprint, outcome, order_id)
ORDER BY command_id
ON CONFLICT (command_id) DO NOTHING
RETURNING command_id, decided_at
