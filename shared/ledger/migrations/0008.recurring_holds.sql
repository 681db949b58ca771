-- A recurring coupon that continues with a subscription is held without a use until its order is paid; the hold names the subscription.
-- depends: 0007.rules

ALTER TABLE lock_uses DROP CONSTRAINT lock_uses_uses_check;
ALTER TABLE lock_uses ADD CONSTRAINT lock_uses_uses_check CHECK (uses >= 0) NOT VALID;
ALTER TABLE lock_uses ADD COLUMN subscription_id text;
