-- Finds the requests for an order that changed nothing, for the histories of coupons and orders.
-- depends: 0025.customers

CREATE INDEX journal_unchanged ON journal (order_id, decided_at) WHERE outcome = 'unchanged' AND (verdict ->> 'why') IS NOT NULL;
