-- Which relay leads; the row is kept as it is until the commit, so that no other takes over in between.
SELECT leader FROM relay_positions WHERE relay = $1 FOR SHARE
