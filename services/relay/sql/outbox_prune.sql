-- Deletes events published long ago, a bounded number, oldest first; it looks at no more rows than it may delete. The last
-- published one stays: by it the relay knows that the ledger didn't go back.
DELETE FROM outbox
USING (SELECT position, time FROM outbox WHERE position < $1 ORDER BY position LIMIT $3) AS oldest
WHERE outbox.position = oldest.position AND oldest.time < now() - make_interval(secs => $2)
