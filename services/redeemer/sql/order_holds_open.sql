-- Which of these order holds are still open: with burn_on=placed there are none, except from before that setting changed.
SELECT lock_reference FROM locks WHERE lock_reference = ANY ($1::text[]) AND status = 'open'
