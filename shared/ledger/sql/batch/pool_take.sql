-- Take as many imported codes of each campaign as the batch may need. Two batches never wait for each other's codes.
SELECT wanted.campaign_id, coupon.coupon_id::text, coupon.code
FROM unnest($1::text[], $2::integer[]) AS wanted (campaign_id, count)
CROSS JOIN LATERAL (
    SELECT coupon_id, code FROM coupons
    WHERE campaign_id = wanted.campaign_id AND status = 'pooled'
    ORDER BY coupon_id
    LIMIT wanted.count
    FOR UPDATE SKIP LOCKED
) AS coupon
