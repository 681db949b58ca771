-- Count the active uses of a recurring coupon per subscription: its later orders continue with them and take none.
SELECT subscription_id, coupon_id::text, sum(used_uses)::integer AS uses
FROM ledger_entries
WHERE subscription_id = ANY($1::text[])
GROUP BY subscription_id, coupon_id
