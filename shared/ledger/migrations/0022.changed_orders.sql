-- Orders that change: their whole content, adjusted discounts, and uses that a hold gave up.
-- depends: 0021.ledger_entries

-- Each element of `lines` may now be followed by product, variant, collections and metadata. `details` is
-- [codes, shipping in minor units, channel, subscription, cycle, metadata]; null in rows of earlier versions.
ALTER TABLE orders ADD COLUMN details jsonb;
ALTER TABLE orders ADD COLUMN changed_at timestamptz;
ALTER TABLE orders ADD COLUMN first_placed_at timestamptz;  -- null if it was placed once

-- Uses that an order's hold gave up, as rows of lock_uses; they hold nothing, and are judged again if it is paid.
ALTER TABLE locks ADD COLUMN lost jsonb;

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_kind_check
    CHECK (kind IN ('issued', 'locked', 'released', 'burned', 'adjusted', 'returned', 'restored', 'voided')) NOT VALID;

-- Finds the other changes of an order's discounts; its burns and restores have an index already.
CREATE INDEX ledger_entries_adjusted ON ledger_entries (order_id) WHERE kind = 'adjusted' AND redemption_id IS NOT NULL;

-- Lists of redemptions show adjustments too.
DROP INDEX ledger_entries_campaign_id;
CREATE INDEX ledger_entries_campaign_id ON ledger_entries (campaign_id, entry_id) WHERE kind IN ('burned', 'adjusted', 'returned', 'restored');
