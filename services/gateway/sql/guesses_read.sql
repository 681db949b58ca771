-- Read the ledger's time in seconds since 1970, and the current wrong guesses of all callers and addresses, usually
-- none. The newest come first, up to a limit.
SELECT extract(epoch FROM statement_timestamp())::float8 AS at, found.subject, found.slot, found.guesses
FROM (SELECT) AS present
LEFT JOIN (
    SELECT subject, slot, guesses FROM http_guesses
    WHERE slot > floor(extract(epoch FROM statement_timestamp()) / $1::integer)::bigint - $2::integer
    ORDER BY slot DESC
    LIMIT $3
) AS found ON true
