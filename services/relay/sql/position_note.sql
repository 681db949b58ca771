-- Notes what Kafka has committed: never backwards, and true whoever leads by now. Returns who does.
UPDATE relay_positions
SET published_up_to = greatest(published_up_to, $2),
    alive_at = CASE WHEN leader = $3 THEN now() ELSE alive_at END,
    holds_lock = CASE WHEN leader = $3 THEN $4 ELSE holds_lock END
WHERE relay = $1
RETURNING leader
