-- Read the next chunk of the journal, with the verdicts that may name the customer in free text.
SELECT command_id,
    CASE WHEN decided_at <= $4 AND (lower(verdict::text) LIKE ANY($2::text[])
                                    OR verdict::text ~ ANY($3::text[]))
         THEN verdict::text END AS text
FROM (SELECT * FROM journal WHERE command_id > $5 ORDER BY command_id LIMIT $1) AS piece
ORDER BY command_id
