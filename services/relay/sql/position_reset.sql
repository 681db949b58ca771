-- An operator said where to start: the only time that the note goes backwards.
UPDATE relay_positions SET published_up_to = $2 WHERE relay = $1
