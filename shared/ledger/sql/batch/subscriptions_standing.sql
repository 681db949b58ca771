-- How many uses of a recurring coupon stand for each subscription: its later orders go on with them and take none.
SELECT subscription_id, coupon_id::text, sum(used_uses)::integer AS uses
FROM ledger_entries
WHERE subscription_id = ANY($1::text[])
GROUP BY subscription_id, coupon_id
