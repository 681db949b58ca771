-- Record a heartbeat of a relay that is busy with one long step; the position is unchanged.
UPDATE relay_positions SET alive_at = now() WHERE relay = $1 AND leader = $2
