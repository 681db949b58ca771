-- Delete what this batch's locks held before; what they hold now is inserted next.
DELETE FROM lock_uses WHERE lock_reference = ANY($1::text[])
