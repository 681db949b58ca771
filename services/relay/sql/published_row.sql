-- Return the event at a position, to check that the last published event is still in the ledger.
SELECT event_id::text, time FROM outbox WHERE position = $1
