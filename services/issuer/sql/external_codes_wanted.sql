-- Which of these still need a code: a command in the journal has its verdict, an occasion with a coupon has had its code.
SELECT wanted.command_id, wanted.campaign_id, now() AS decided_at
FROM unnest($1::text[], $2::text[], $3::text[]) AS wanted (command_id, campaign_id, occasion)
WHERE NOT EXISTS (SELECT FROM journal WHERE journal.command_id = wanted.command_id)
  AND NOT EXISTS (
      SELECT FROM coupons WHERE coupons.occasion = wanted.occasion AND coupons.campaign_id = wanted.campaign_id
  )
