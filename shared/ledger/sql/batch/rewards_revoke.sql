-- Record revoked rewards. The first revocation of a reward is kept.
INSERT INTO revoked_rewards (occasion, revoked_at, recorded_at)
SELECT occasion, revoked_at, $3 FROM unnest($1::text[], $2::timestamptz[]) AS revoked (occasion, revoked_at)
ON CONFLICT DO NOTHING
