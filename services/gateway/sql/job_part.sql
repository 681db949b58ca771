-- Read the codes that one part of a job created.
SELECT accepted ->> 'code' AS code
FROM journal CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'accepted') WITH ORDINALITY AS made (accepted, number)
WHERE journal.command_id = $1
ORDER BY made.number
