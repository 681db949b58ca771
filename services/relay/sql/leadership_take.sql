-- Record the leader and whether it holds the lock; return the recorded published position.
INSERT INTO relay_positions AS known (relay, leader, holds_lock) VALUES ($1, $2, $3)
ON CONFLICT (relay) DO UPDATE SET leader = excluded.leader, holds_lock = excluded.holds_lock, alive_at = now()
RETURNING known.published_up_to
