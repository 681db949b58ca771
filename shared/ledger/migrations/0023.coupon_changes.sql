-- Changes of coupons after they were issued: rewards that are revoked, voids that are undone, ends that are moved.
-- depends: 0022.changed_orders

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_kind_check;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_kind_check
    CHECK (kind IN ('issued', 'locked', 'released', 'burned', 'returned', 'restored', 'voided', 'adjusted', 'unvoided', 'extended'))
    NOT VALID;

-- The coupon's own end since an entry of the kind `extended`; null: it has none.
ALTER TABLE ledger_entries ADD COLUMN ends_at timestamptz;

-- The reward of the coupon was revoked when all of its uses were used: a restored use voids it.
ALTER TABLE coupons ADD COLUMN revoked boolean NOT NULL DEFAULT false;

-- The occasions of revoked rewards, which issue nothing from then on. A reward may arrive after its revocation.
CREATE TABLE revoked_rewards (
    occasion    text        PRIMARY KEY,   -- as in coupons: the natural key of an issue
    revoked_at  timestamptz NOT NULL,      -- as the event says
    recorded_at timestamptz NOT NULL
);

GRANT SELECT ON revoked_rewards TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT ON revoked_rewards TO couponry_service;
GRANT UPDATE (occasion) ON revoked_rewards TO couponry_service;  -- an erasure replaces an occasion that names the customer
