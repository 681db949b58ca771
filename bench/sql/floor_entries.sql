-- Insert the ledger entries of a batch with one statement, in their order.
INSERT INTO ledger_entries (recorded_at, kind, coupon_id, campaign_id, customer_key, order_id, lock_reference, redemption_id, command_id,
                       held_uses, used_uses, held_minor, used_minor, currency, lines, round, counted_at)
SELECT $16, kind, coupon_id, campaign_id, customer_key, order_id, lock_reference, redemption_id, command_id,
       held_uses, used_uses, held_minor, used_minor, currency, lines, round, $16
FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::text[],
            $9::integer[], $10::integer[], $11::bigint[], $12::bigint[], $13::text[], $14::jsonb[], $15::smallint[]) WITH ORDINALITY
    AS entry (kind, coupon_id, campaign_id, customer_key, order_id, lock_reference, redemption_id, command_id,
              held_uses, used_uses, held_minor, used_minor, currency, lines, round, ordinal)
ORDER BY ordinal
