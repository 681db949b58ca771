-- The occasions that a shared code was issued for, because its single coupon can't hold them all.
-- depends: 0005.relay_position

CREATE TABLE shared_occasions (
    occasion    text NOT NULL,   -- the natural key of an issue: a reward's id
    campaign_id text NOT NULL,
    PRIMARY KEY (occasion, campaign_id)
);

GRANT SELECT ON shared_occasions TO couponry_owner, couponry_service, couponry_readonly;
GRANT INSERT ON shared_occasions TO couponry_service;
