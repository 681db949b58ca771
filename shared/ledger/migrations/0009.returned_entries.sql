-- Find the partial returns of an order; its burns and restores have an index already (transfers_order_coupon).
-- depends: 0008.recurring_holds

CREATE INDEX transfers_returned ON transfers (order_id) WHERE kind = 'returned';
