-- A relay that is busy with one long step notes that it lives; the position stays as it is.
UPDATE relay_positions SET alive_at = now() WHERE relay = $1 AND leader = $2
