-- Customers that are split again: whose an identifier was before the first merge, pairs that are never merged again, and
-- ledger entries that give a change back to the customer it began with.
-- depends: 0024.codes

-- NULL: never merged, or merged by a version that didn't record it.
ALTER TABLE customer_identifiers ADD COLUMN first_key uuid;

-- Identifiers that don't belong to one customer. An erasure of either customer deletes the row.
CREATE TABLE separate_customers (
    kind        text        NOT NULL,
    value       text        NOT NULL,
    other_kind  text        NOT NULL,
    other_value text        NOT NULL,
    noted_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (kind, value, other_kind, other_value)
);
CREATE INDEX separate_customers_other ON separate_customers (other_kind, other_value);
GRANT SELECT ON separate_customers TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT, DELETE ON separate_customers TO couponry_service;

-- `moved` entries come in pairs whose sum is zero: a change leaves one customer and comes to another.
ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_kind_check
    CHECK (kind IN ('issued', 'locked', 'released', 'burned', 'returned', 'restored', 'voided', 'adjusted', 'unvoided', 'extended',
                    'moved')) NOT VALID;
