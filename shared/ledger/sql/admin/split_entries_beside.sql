-- Return the entries under the remaining customer's keys on the same coupons and locks: they may undo changes of the
-- customers that come back. One more than the limit, to notice that there are too many.
SELECT entry_id, recorded_at, kind, coupon_id::text, campaign_id, order_id, lock_reference, held_uses, used_uses, held_minor, used_minor,
       currency, counted_at, false AS returns
FROM ledger_entries
WHERE customer_key = ANY($1::uuid[]) AND (coupon_id = ANY($2::uuid[]) OR lock_reference = ANY($3::text[]))
LIMIT $4
