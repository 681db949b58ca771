-- Compare coupons with the old and the new limit of uses per coupon (null: none). Reads every coupon of the ledger: for
-- people.
SELECT campaign_id,
    count(*) FILTER (WHERE status = 'active') AS coupons,
    count(*) FILTER (WHERE status = 'pooled') AS pooled,
    count(*) FILTER (WHERE status = 'active' AND ends_at IS NOT NULL) AS own_end,
    count(*) FILTER (WHERE status = 'active' AND used_uses >= old_limit AND (new_limit IS NULL OR used_uses < new_limit)) AS revived,
    count(*) FILTER (WHERE status = 'active' AND held_uses + used_uses >= new_limit) AS full
FROM coupons JOIN unnest($1::text[], $2::integer[], $3::integer[]) AS wanted (campaign_id, old_limit, new_limit) USING (campaign_id)
GROUP BY campaign_id
