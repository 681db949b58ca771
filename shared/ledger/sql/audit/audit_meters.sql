-- Compare every meter with the sum of its ledger entries. Entries of merged customers count for the customer that
-- remains.
WITH change AS (
    SELECT campaign_id, coalesce(customers.merged_into, ledger_entries.customer_key) AS customer_key,
           (kind = 'issued')::integer AS issued, held_uses, used_uses, held_minor, used_minor
    FROM ledger_entries LEFT JOIN customers USING (customer_key)
), summed AS (
    SELECT campaign_id, '00000000-0000-0000-0000-000000000000'::uuid AS customer_key, sum(issued) AS issued,
           sum(held_uses) AS held_uses, sum(used_uses) AS used_uses, sum(held_minor) AS held_minor, sum(used_minor) AS used_minor
    FROM change GROUP BY campaign_id
    UNION ALL
    SELECT campaign_id, customer_key, sum(issued), sum(held_uses), sum(used_uses), sum(held_minor), sum(used_minor)
    FROM change WHERE customer_key IS NOT NULL GROUP BY campaign_id, customer_key
)
SELECT format('meter of campaign %s, customer %s', meters.campaign_id, meters.customer_key) AS what,
       format('issued %s, held %s (%s), used %s (%s)', coalesce(summed.issued, 0), coalesce(summed.held_uses, 0),
              coalesce(summed.held_minor, 0), coalesce(summed.used_uses, 0), coalesce(summed.used_minor, 0)) AS expected,
       format('issued %s, held %s (%s), used %s (%s)', meters.issued_coupons, meters.held_uses, meters.held_minor,
              meters.used_uses, meters.used_minor) AS found
FROM meters LEFT JOIN summed USING (campaign_id, customer_key)
WHERE (meters.issued_coupons, meters.held_uses, meters.held_minor, meters.used_uses, meters.used_minor)
   <> (coalesce(summed.issued, 0), coalesce(summed.held_uses, 0), coalesce(summed.held_minor, 0),
       coalesce(summed.used_uses, 0), coalesce(summed.used_minor, 0))
LIMIT $1
