-- Give coupons their new keys. A coupon whose key an older one has keeps it only for its history.
UPDATE coupons SET code_key = rekeyed.code_key, freed_key = rekeyed.freed_key, key_taken_by = rekeyed.key_taken_by
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) AS rekeyed (coupon_id, code_key, freed_key, key_taken_by)
WHERE coupons.coupon_id = rekeyed.coupon_id
