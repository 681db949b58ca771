-- Makes known who leads, and whether it holds the lock; returns how far was published for certain.
INSERT INTO relay_positions AS known (relay, leader, holds_lock) VALUES ($1, $2, $3)
ON CONFLICT (relay) DO UPDATE SET leader = excluded.leader, holds_lock = excluded.holds_lock, alive_at = now()
RETURNING known.published_up_to
