-- Find the coupons that rewards issued, except shared codes. The first of each campaign has the reward's occasion; the
-- verdict of the command that issued it has the others. All steps are look-ups by an index.
SELECT DISTINCT found.occasion, issued ->> 'coupon_id' AS coupon_id
FROM (
    SELECT coupon_id, occasion FROM coupons WHERE occasion = ANY($1::text[])
) AS found
JOIN ledger_entries ON ledger_entries.coupon_id = found.coupon_id AND ledger_entries.kind = 'issued'
JOIN journal USING (command_id)
CROSS JOIN LATERAL json_array_elements(journal.verdict -> 'accepted') AS issued
WHERE NOT EXISTS (
    SELECT FROM shared_occasions
    WHERE shared_occasions.occasion = found.occasion AND shared_occasions.campaign_id = issued ->> 'campaign_id'
)
ORDER BY found.occasion, coupon_id
