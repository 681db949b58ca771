-- Lock and return the relay that leads. The row stays locked until the commit, so no other relay takes over in between.
SELECT leader FROM relay_positions WHERE relay = $1 FOR SHARE
