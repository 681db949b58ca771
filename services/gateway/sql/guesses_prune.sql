-- Puts away wrong guesses that don't count any more.
DELETE FROM http_guesses
WHERE slot <= floor(extract(epoch FROM statement_timestamp()) / $1::integer)::bigint - $2::integer
