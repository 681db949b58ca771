-- List coupons of campaigns that aren't archived whose code an older coupon has, for the person who migrates.
SELECT lost.code, lost.campaign_id, owner.code, owner.campaign_id, owner.coupon_id = lost.coupon_id
FROM coupons AS lost
JOIN coupons AS owner ON owner.coupon_id = lost.key_taken_by
JOIN campaigns ON campaigns.campaign_id = lost.campaign_id
WHERE lost.key_taken_by IS NOT NULL AND lost.status <> 'voided' AND campaigns.status <> 'archived'
ORDER BY lost.coupon_id
LIMIT $1
