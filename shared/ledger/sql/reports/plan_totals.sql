-- Compare a campaign and its customers with old and new limits (null: none). Reads every entry of the ledger: for
-- people.
WITH wanted AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::integer[], $6::integer[])
        AS campaign (campaign_id, currency, old_uses, new_uses, old_coupons, new_coupons)
), person AS (
    SELECT campaign_id, coalesce(customers.merged_into, ledger_entries.customer_key) AS customer_key,
           count(*) FILTER (WHERE kind = 'issued') AS issued, sum(held_uses) AS held, sum(used_uses) AS used,
           coalesce(sum(held_minor + used_minor) FILTER (WHERE ledger_entries.currency = wanted.currency), 0) AS spent
    FROM ledger_entries
    JOIN wanted USING (campaign_id)
    LEFT JOIN customers ON customers.customer_key = ledger_entries.customer_key
    GROUP BY 1, 2
)
SELECT campaign_id, sum(issued)::bigint AS issued, sum(held)::bigint AS held, sum(used)::bigint AS used, sum(spent) AS spent_minor,
    count(customer_key) FILTER (WHERE held + used >= old_uses AND (new_uses IS NULL OR held + used < new_uses)) AS use_again,
    count(customer_key) FILTER (WHERE held + used >= new_uses) AS use_no_more,
    count(customer_key) FILTER (WHERE issued >= old_coupons AND (new_coupons IS NULL OR issued < new_coupons)) AS get_again,
    count(customer_key) FILTER (WHERE issued >= new_coupons) AS get_no_more
FROM person JOIN wanted USING (campaign_id)
GROUP BY campaign_id
