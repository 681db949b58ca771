-- Delete the totals of periods of both customers, before they are computed from the ledger entries again.
DELETE FROM period_meters WHERE customer_key = ANY($1::uuid[]) AND campaign_id = ANY($2::text[])
