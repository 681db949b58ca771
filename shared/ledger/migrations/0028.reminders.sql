-- Reminders of coupons that end, for campaigns that ask for them (`window.remind_days`). Other coupons have no row.
-- depends: 0027.cycles

CREATE TABLE coupon_reminders (
    coupon_id    uuid        PRIMARY KEY,
    due_at       timestamptz,   -- when the sweep looks at the coupon next; null: not before something changes
    expiring_for timestamptz,   -- the end that the last coupon.expiring announced
    expired_for  timestamptz    -- the end of the last coupon.expired
) WITH (fillfactor = 80);
CREATE INDEX coupon_reminders_due_at ON coupon_reminders (due_at) WHERE due_at IS NOT NULL;

GRANT SELECT ON coupon_reminders TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT, UPDATE ON coupon_reminders TO couponry_service;
