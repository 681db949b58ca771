-- Tables and columns for promotion rules: budgets, caps, segments, first orders, partial returns, subscriptions.
-- depends: 0006.shared_occasions

-- A budget: the maximum total discount of a campaign's coupons, in minor units of its currency.
ALTER TABLE meters ADD COLUMN max_minor bigint;
ALTER TABLE meters ADD CONSTRAINT meters_within_minor CHECK (max_minor IS NULL OR held_minor + used_minor <= max_minor);

-- Running totals per period, only where a cap needs them. A customer_key of zeros means the whole campaign.
CREATE TABLE period_meters (
    campaign_id    text    NOT NULL,
    customer_key   uuid    NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    period         text    NOT NULL,   -- 'day 2026-11-25', 'week 2026-11-23' (its Monday), 'month 2026-11-01', by the campaign's clock
    issued_coupons integer NOT NULL DEFAULT 0 CHECK (issued_coupons >= 0),
    held_uses      integer NOT NULL DEFAULT 0 CHECK (held_uses >= 0),
    used_uses      integer NOT NULL DEFAULT 0 CHECK (used_uses >= 0),
    max_coupons    integer,
    max_uses       integer,
    PRIMARY KEY (campaign_id, customer_key, period),
    CONSTRAINT period_meters_within_coupons CHECK (max_coupons IS NULL OR issued_coupons <= max_coupons),
    CONSTRAINT period_meters_within_uses CHECK (max_uses IS NULL OR held_uses + used_uses <= max_uses)
) WITH (fillfactor = 50);

-- The time that decides in which period an entry counts; a use that is held, burned and restored counts in one period.
-- Null in entries older than this column: the time they were recorded counts then.
ALTER TABLE transfers ADD COLUMN counted_at timestamptz;
ALTER TABLE lock_uses ADD COLUMN counted_at timestamptz;

-- A partial return gives back a share of the discount and no use.
ALTER TABLE transfers DROP CONSTRAINT transfers_kind_check;
ALTER TABLE transfers ADD CONSTRAINT transfers_kind_check
    CHECK (kind IN ('issued', 'locked', 'released', 'burned', 'returned', 'restored', 'voided')) NOT VALID;
ALTER TABLE orders ADD COLUMN lines jsonb;     -- [[line id, quantity, unit price in minor units], …]
ALTER TABLE orders ADD COLUMN returns jsonb;   -- partial returns: [[time, [[line id, quantity], …] or null, amount or null], …]

-- A recurring coupon's use covers the later orders of its subscription until it is restored.
ALTER TABLE transfers ADD COLUMN subscription_id text;
CREATE INDEX transfers_subscription_id ON transfers (subscription_id) WHERE subscription_id IS NOT NULL;

-- Groups that producers assign a customer to; null if no event had any.
ALTER TABLE customers ADD COLUMN segments text[];

-- Finds out whether an order is a customer's first; ordered by id, so that every query sees the same few orders.
CREATE INDEX orders_customer_key ON orders (customer_key, order_id COLLATE "C") WHERE customer_key IS NOT NULL;

GRANT SELECT ON period_meters TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT, UPDATE, DELETE ON period_meters TO couponry_service;
