-- Read the only clock that decides. Read after the batch got its lock, so that no decision is older than its campaigns.
SELECT clock_timestamp()
