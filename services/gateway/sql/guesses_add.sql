-- Add wrong guesses to the counts of all gateways. Returns all current counts of these callers and addresses, and the
-- ledger's time in seconds since 1970.
WITH present AS (
    SELECT extract(epoch FROM statement_timestamp())::float8 AS at,
        floor(extract(epoch FROM statement_timestamp()) / $4::integer)::bigint AS slot
),
added AS (
    INSERT INTO http_guesses (subject, slot, guesses)
    SELECT new.subject, present.slot + new.ahead, new.guesses
    FROM unnest($1::text[], $2::integer[], $3::integer[]) AS new (subject, ahead, guesses) CROSS JOIN present
    ORDER BY new.subject, new.ahead
    ON CONFLICT (subject, slot) DO UPDATE SET guesses = least(http_guesses.guesses + excluded.guesses::bigint, 1000000000)
    RETURNING subject, slot, guesses
)
SELECT present.at, added.subject, added.slot, added.guesses FROM added CROSS JOIN present
UNION ALL
SELECT present.at, before.subject, before.slot, before.guesses FROM http_guesses AS before CROSS JOIN present
WHERE before.subject = ANY ($1) AND before.slot > present.slot - $5::integer
  AND NOT EXISTS (SELECT FROM added WHERE added.subject = before.subject AND added.slot = before.slot)
