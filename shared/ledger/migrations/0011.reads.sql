-- What people look for over HTTP: coupons of a campaign, campaigns of a group or for a product.
-- depends: 0010.gateway

CREATE INDEX coupons_campaign_id ON coupons (campaign_id, coupon_id);
CREATE INDEX campaigns_group ON campaigns ((definition->>'group')) WHERE definition->>'group' IS NOT NULL;
CREATE INDEX campaigns_product_ids ON campaigns USING gin ((definition->'applies_to'->'product_ids'));
