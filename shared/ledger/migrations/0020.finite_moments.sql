-- Repair times of orders that PostgreSQL stored as infinity: a time at the end of year 9999 was rounded up to it, and
-- can't be compared after it is read. Such times are refused on input now.
-- depends: 0013.jobs

UPDATE orders SET
    placed_at = LEAST(placed_at, timestamptz '9999-12-31 00:00:00Z'),
    paid_at = LEAST(paid_at, timestamptz '9999-12-31 00:00:00Z'),
    cancelled_at = LEAST(cancelled_at, timestamptz '9999-12-31 00:00:00Z'),
    returned_at = LEAST(returned_at, timestamptz '9999-12-31 00:00:00Z')
WHERE 'infinity' IN (placed_at, paid_at, cancelled_at, returned_at);
