-- Delete wrong guesses that no longer count.
DELETE FROM http_guesses
WHERE slot <= floor(extract(epoch FROM statement_timestamp()) / $1::integer)::bigint - $2::integer
