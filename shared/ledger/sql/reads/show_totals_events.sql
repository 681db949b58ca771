-- Events in the outbox, counted by type; those published long ago are no longer among them.
SELECT type, count(*) AS events
FROM outbox
GROUP BY type
ORDER BY type
