-- The ledger's time in seconds since 1970, and wrong guesses that count now, of every caller and address: usually none;
-- the newest first, within a bound.
SELECT extract(epoch FROM statement_timestamp())::float8 AS at, found.subject, found.slot, found.guesses
FROM (SELECT) AS present
LEFT JOIN (
    SELECT subject, slot, guesses FROM http_guesses
    WHERE slot > floor(extract(epoch FROM statement_timestamp()) / $1::integer)::bigint - $2::integer
    ORDER BY slot DESC
    LIMIT $3
) AS found ON true
