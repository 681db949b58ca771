-- Record the position committed in Kafka. It never moves back and is right whichever relay leads. Returns the leader.
UPDATE relay_positions
SET published_up_to = greatest(published_up_to, $2),
    alive_at = CASE WHEN leader = $3 THEN now() ELSE alive_at END,
    holds_lock = CASE WHEN leader = $3 THEN $4 ELSE holds_lock END
WHERE relay = $1
RETURNING leader
