-- Empty the totals of both customers, before they are computed from the ledger entries again.
UPDATE meters SET issued_coupons = 0, held_uses = 0, used_uses = 0, held_minor = 0, used_minor = 0
WHERE customer_key = ANY($1::uuid[]) AND campaign_id = ANY($2::text[])
