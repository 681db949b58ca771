-- Commands that were executed before, with what was answered.
SELECT command_id, fingerprint, verdict::text
FROM journal
WHERE command_id = ANY($1::text[])
