-- The merged persons' coupons are held by the one who stays.
UPDATE coupons SET holder_key = $1 WHERE holder_key = ANY($2::uuid[])
