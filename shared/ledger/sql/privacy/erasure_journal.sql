-- Replace verdicts by ones without the customer. This function is the only way to change the journal.
SELECT erase_verdicts($1, $2::text[], $3::text[])
