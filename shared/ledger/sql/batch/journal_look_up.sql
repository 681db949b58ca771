-- Find commands that were executed before, with their recorded verdicts.
SELECT command_id, fingerprint, verdict::text
FROM journal
WHERE command_id = ANY($1::text[])
