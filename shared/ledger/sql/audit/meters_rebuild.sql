-- Compute meters of changed campaigns from their ledger entries again and set the new limits. Only meters that a limit
-- needs; with $9 only those of these customers. A limit below what is already used or held is stored as that total; the
-- decision refuses further uses.
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::boolean[], $3::boolean[], $4::integer[], $5::integer[], $6::integer[], $7::integer[], $8::bigint[])
        AS campaign (campaign_id, whole, customers, coupons_total, uses_total, coupons_per_customer, uses_per_customer, spend_total_minor)
), change AS (
    SELECT ledger_entries.campaign_id, coalesce(customers.merged_into, ledger_entries.customer_key) AS customer_key,
           (kind = 'issued')::integer AS issued_coupons, held_uses, used_uses, held_minor, used_minor
    FROM ledger_entries
    JOIN wanted USING (campaign_id)
    LEFT JOIN customers ON customers.customer_key = ledger_entries.customer_key
    WHERE (wanted.whole OR wanted.customers) AND ($9::uuid[] IS NULL OR ledger_entries.customer_key = ANY($9))
), total AS (
    SELECT campaign_id, '00000000-0000-0000-0000-000000000000'::uuid AS customer_key,
           sum(issued_coupons) AS issued_coupons, sum(held_uses) AS held_uses, sum(used_uses) AS used_uses,
           sum(held_minor) AS held_minor, sum(used_minor) AS used_minor,
           wanted.coupons_total AS max_coupons, wanted.uses_total AS max_uses, wanted.spend_total_minor AS max_minor
    FROM change JOIN wanted USING (campaign_id) WHERE wanted.whole
    GROUP BY campaign_id, wanted.coupons_total, wanted.uses_total, wanted.spend_total_minor
    UNION ALL
    SELECT campaign_id, customer_key, sum(issued_coupons), sum(held_uses), sum(used_uses), sum(held_minor), sum(used_minor),
           wanted.coupons_per_customer, wanted.uses_per_customer, NULL
    FROM change JOIN wanted USING (campaign_id) WHERE wanted.customers AND customer_key IS NOT NULL
    GROUP BY campaign_id, customer_key, wanted.coupons_per_customer, wanted.uses_per_customer
)
INSERT INTO meters AS meter
    (campaign_id, customer_key, issued_coupons, held_uses, used_uses, held_minor, used_minor, max_coupons, max_uses, max_minor)
SELECT campaign_id, customer_key, issued_coupons, held_uses, used_uses, held_minor, used_minor,
       greatest(max_coupons, CASE WHEN max_coupons IS NOT NULL THEN issued_coupons END),
       greatest(max_uses, CASE WHEN max_uses IS NOT NULL THEN held_uses + used_uses END),
       greatest(max_minor, CASE WHEN max_minor IS NOT NULL THEN held_minor + used_minor END)
FROM total
ON CONFLICT (campaign_id, customer_key) DO UPDATE SET
    issued_coupons = excluded.issued_coupons, held_uses = excluded.held_uses, used_uses = excluded.used_uses,
    held_minor = excluded.held_minor, used_minor = excluded.used_minor,
    max_coupons = excluded.max_coupons, max_uses = excluded.max_uses, max_minor = excluded.max_minor
