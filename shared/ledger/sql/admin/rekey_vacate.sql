-- Take the old keys from coupons first, because one of them may be another coupon's new key.
UPDATE coupons SET code_key = NULL WHERE coupon_id = ANY($1::uuid[])
