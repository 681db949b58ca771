-- Write coupons after the batch: one update per coupon, however many orders used it.
UPDATE coupons SET held_uses = after.held_uses, used_uses = after.used_uses, status = after.status, ends_at = after.ends_at,
                   revoked = after.revoked
FROM unnest($1::uuid[], $2::integer[], $3::integer[], $4::text[], $5::timestamptz[], $6::boolean[])
    AS after (coupon_id, held_uses, used_uses, status, ends_at, revoked)
WHERE coupons.coupon_id = after.coupon_id
