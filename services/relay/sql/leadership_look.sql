-- Return the leader, whether it was alive recently, and whether events are unpublished.
SELECT leader, holds_lock, alive_at > now() - make_interval(secs => $2) AS alive,
       EXISTS (SELECT FROM outbox WHERE position > published_up_to) AS pending
FROM relay_positions
WHERE relay = $1
