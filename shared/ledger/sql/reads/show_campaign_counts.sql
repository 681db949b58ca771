-- Count a campaign's coupons. Reads every coupon of the ledger: for people, not for services.
SELECT count(*) FILTER (WHERE status <> 'pooled') AS coupons, count(*) FILTER (WHERE status = 'pooled') AS pooled,
    count(*) FILTER (WHERE status = 'voided') AS voided, coalesce(sum(held_uses), 0)::bigint AS held_uses,
    coalesce(sum(used_uses), 0)::bigint AS used_uses
FROM coupons
WHERE campaign_id = $1
