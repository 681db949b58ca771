-- The next chunk of the journal, with the verdicts that may name the person in free text.
SELECT command_id,
    CASE WHEN decided_at <= $4 AND (lower(verdict::text) LIKE ANY($2::text[])
                                    OR (cardinality($3::text[]) > 0 AND regexp_replace(verdict::text, '[^0-9]', '', 'g') LIKE ANY($3::text[])))
         THEN verdict::text END AS text
FROM (SELECT * FROM journal WHERE command_id > $5 ORDER BY command_id LIMIT $1) AS piece
ORDER BY command_id
