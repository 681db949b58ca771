-- Read the uses that locks hold. A use older than the column `counted_at` counts at the time its entry was recorded.
SELECT lock_reference, coupon_id::text, campaign_id, uses, discount_minor, currency, lines::text,
       coalesce(counted_at, (
           SELECT max(recorded_at) FROM ledger_entries
           WHERE (ledger_entries.coupon_id, ledger_entries.lock_reference) = (lock_uses.coupon_id, lock_uses.lock_reference)
             AND kind = 'locked' AND ledger_entries.counted_at IS NULL
       )) AS counted_at, subscription_id
FROM lock_uses
WHERE lock_reference = ANY($1::text[])
ORDER BY lock_reference, coupon_id
