-- Indexes for reads over HTTP: coupons of a campaign, campaigns of a group or for a product.
-- depends: 0010.gateway

CREATE INDEX coupons_campaign_id ON coupons (campaign_id, coupon_id);
CREATE INDEX campaigns_group ON campaigns ((definition->>'group')) WHERE definition->>'group' IS NOT NULL;
CREATE INDEX campaigns_product_ids ON campaigns USING gin ((definition->'applies_to'->'product_ids'));

-- Redemptions of a campaign and of a customer, newest first; refusals of a customer.
CREATE INDEX transfers_campaign_id ON transfers (campaign_id, transfer_id) WHERE kind IN ('burned', 'returned', 'restored');
CREATE INDEX transfers_customer_key ON transfers (customer_key, transfer_id) WHERE kind IN ('burned', 'returned', 'restored');
CREATE INDEX journal_refused_customer ON journal ((verdict ->> 'customer_key'), decided_at) WHERE reasons <> '{}';

-- The order of a redemption, by the id that its caller received.
CREATE INDEX transfers_redemption_id ON transfers (redemption_id) WHERE kind = 'burned' AND order_id IS NOT NULL;
