-- Wrong guesses that count now, of every caller and address: usually none; the newest first, within a bound.
SELECT subject, slot, guesses FROM http_guesses
WHERE slot > floor(extract(epoch FROM statement_timestamp()) / $1::integer)::bigint - $2::integer
ORDER BY slot DESC
LIMIT $3
