-- Delete old published events, oldest first, up to a limit; it reads no more rows than it may delete. The last
-- published one is kept, so that the relay can check that the ledger didn't go back.
DELETE FROM outbox
USING (SELECT position, time FROM outbox WHERE position < $1 ORDER BY position LIMIT $3) AS oldest
WHERE outbox.position = oldest.position AND oldest.time < now() - make_interval(secs => $2)
