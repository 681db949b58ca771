-- Verdicts without the person. The function is the only way in which the journal can be changed.
SELECT erase_verdicts($1, $2::text[], $3::text[])
