-- Find the pairs that still need a code: no verdict in the journal yet, no coupon for the occasion yet, and no revocation.
SELECT wanted.command_id, wanted.campaign_id, now() AS decided_at
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (command_id, campaign_id, occasion)
WHERE NOT EXISTS (SELECT FROM journal WHERE journal.command_id = wanted.command_id)
  AND NOT EXISTS (SELECT FROM revoked_rewards WHERE revoked_rewards.occasion = wanted.occasion)
  AND NOT EXISTS (
      SELECT FROM coupons WHERE coupons.occasion = wanted.occasion AND coupons.campaign_id = wanted.campaign_id
  )
