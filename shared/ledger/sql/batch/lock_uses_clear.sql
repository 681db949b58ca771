-- What the locks of this batch held before; what they hold now is written next.
DELETE FROM lock_uses WHERE lock_reference = ANY($1::text[])
