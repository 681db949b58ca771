-- Add new identifiers, and their customers if these are new as well.
WITH named AS (
    SELECT * FROM unnest($1::text[], $2::text[], $3::uuid[]) AS identifier (kind, value, customer_key)
), person AS (
    INSERT INTO customers (customer_key) SELECT DISTINCT customer_key FROM named ORDER BY customer_key
    ON CONFLICT DO NOTHING
)
INSERT INTO customer_identifiers (kind, value, customer_key)
SELECT kind, value, customer_key FROM named ORDER BY kind, value
