-- The one clock that decides. Read after the batch was let in, so that no decision is older than the campaigns it reads.
SELECT clock_timestamp()
