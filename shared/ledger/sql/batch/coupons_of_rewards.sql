-- Find the coupons that rewards issued, except shared codes. The first of each campaign has the reward's occasion; the
-- verdict of the command that issued it has the others. All steps are look-ups by an index.
WITH of_all AS MATERIALIZED (
    SELECT occasion, campaign_id FROM shared_occasions WHERE occasion = ANY($1::text[])
)
SELECT DISTINCT coupons.occasion, issued ->> 'coupon_id' AS coupon_id
FROM coupons
JOIN ledger_entries ON ledger_entries.coupon_id = coupons.coupon_id AND ledger_entries.kind = 'issued'
JOIN journal USING (command_id)
CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'accepted') AS issued
WHERE coupons.occasion = ANY($1::text[])
  AND NOT EXISTS (
      SELECT FROM of_all WHERE of_all.occasion = coupons.occasion AND of_all.campaign_id = issued ->> 'campaign_id'
  )
ORDER BY coupons.occasion, coupon_id
