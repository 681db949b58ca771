-- Copy a campaign's limit of uses per coupon to its coupons; never below what is already used or held.
UPDATE coupons SET uses_limit = greatest(wanted.uses_limit, CASE WHEN wanted.uses_limit IS NOT NULL THEN held_uses + used_uses END)
FROM unnest($1::text[], $2::integer[]) AS wanted (campaign_id, uses_limit)
WHERE coupons.campaign_id = wanted.campaign_id
  AND coupons.uses_limit IS DISTINCT FROM
      greatest(wanted.uses_limit, CASE WHEN wanted.uses_limit IS NOT NULL THEN held_uses + used_uses END)
