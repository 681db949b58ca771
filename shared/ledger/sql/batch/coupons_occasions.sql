-- Find occasions (rewards) that already have a coupon (on the coupon, or in a table of their own for shared codes), and
-- those of revoked rewards, without a campaign.
SELECT occasion, campaign_id FROM coupons WHERE occasion = ANY($1::text[])
UNION ALL
SELECT occasion, campaign_id FROM shared_occasions WHERE occasion = ANY($1::text[])
UNION ALL
SELECT occasion, NULL FROM revoked_rewards WHERE occasion = ANY($1::text[])
