-- What came back of an order in parts, found beside what it burned and got restored (transfers_order_coupon).
-- depends: 0008.recurring_holds

CREATE INDEX transfers_returned ON transfers (order_id) WHERE kind = 'returned';
