-- Set the position ordered by an operator: the only statement that can move it back.
UPDATE relay_positions SET published_up_to = $2 WHERE relay = $1
