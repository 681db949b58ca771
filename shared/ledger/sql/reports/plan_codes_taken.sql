-- Find shared codes that a coupon of another campaign has, or another coupon of the same one: loading them is refused. For people.
SELECT wanted.campaign_id, wanted.code, coupons.campaign_id AS owner, campaigns.status AS owner_status, coupons.code AS owner_code
FROM unnest($1::text[], $2::text[], $3::uuid[], $4::text[]) AS wanted (campaign_id, code_key, coupon_id, code)
JOIN coupons USING (code_key)
LEFT JOIN campaigns ON campaigns.campaign_id = coupons.campaign_id
WHERE coupons.coupon_id <> wanted.coupon_id
  AND NOT (coupons.campaign_id = wanted.campaign_id
           AND coupons.status <> 'pooled' AND coupons.holder_key IS NULL AND coupons.occasion IS NULL)
  AND NOT EXISTS (
      SELECT FROM coupons AS own
      WHERE own.freed_key = wanted.code_key AND own.campaign_id = wanted.campaign_id AND own.key_taken_by IS NOT NULL
  )
