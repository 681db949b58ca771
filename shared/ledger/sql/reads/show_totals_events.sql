-- Count the events in the outbox by type. Events published long ago are deleted and don't count.
SELECT type, count(*) AS events
FROM outbox
GROUP BY type
ORDER BY type
