-- Find the open ones of these order holds. With burn_on=placed there are none, except from before the setting changed.
SELECT lock_reference FROM locks WHERE lock_reference = ANY ($1::text[]) AND status = 'open'
