-- Return the ledger entries of the customers that come back; one more than the limit, to notice that there are too many.
SELECT entry_id, recorded_at, kind, coupon_id::text, campaign_id, order_id, lock_reference, held_uses, used_uses, held_minor, used_minor,
       currency, counted_at, true AS returns
FROM ledger_entries
WHERE customer_key = ANY($1::uuid[])
LIMIT $2
