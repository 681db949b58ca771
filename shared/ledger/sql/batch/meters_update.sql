-- Write totals after the batch: one update per meter, however many commands changed it.
UPDATE meters SET issued_coupons = total.issued_coupons, held_uses = total.held_uses, used_uses = total.used_uses,
                  held_minor = total.held_minor, used_minor = total.used_minor
FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::integer[], $5::integer[], $6::bigint[], $7::bigint[])
    AS total (campaign_id, customer_key, issued_coupons, held_uses, used_uses, held_minor, used_minor)
WHERE meters.campaign_id = total.campaign_id AND meters.customer_key = total.customer_key
