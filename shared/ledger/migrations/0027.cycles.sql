-- Find what unpaid orders of a subscription hold, for campaigns that give their discount for a number of cycles.
-- depends: 0026.unchanged

CREATE INDEX lock_uses_subscription_id ON lock_uses (subscription_id) WHERE subscription_id IS NOT NULL;
