-- Compare codes by keys that Python makes, find refusals by them, and let a later campaign use a code again.
-- depends: 0023.coupon_changes

-- The codes of an archived campaign can be freed: their key moves to freed_key, where it blocks nothing. key_taken_by: an
-- older coupon had the same key when keys were made again; the coupon itself if its code has no character that can be seen.
ALTER TABLE coupons ADD COLUMN freed_key text;
ALTER TABLE coupons ADD COLUMN key_taken_by uuid;
CREATE INDEX coupons_freed_key ON coupons (freed_key) WHERE freed_key IS NOT NULL;
CREATE INDEX coupons_key_taken_by ON coupons (coupon_id) WHERE key_taken_by IS NOT NULL;
-- Keys that an earlier version may have made in another way: those with a blank or a character outside ASCII.
CREATE INDEX coupons_other_keys ON coupons (coupon_id) WHERE code_key COLLATE "C" ~ '[^!-~]';

ALTER TABLE campaigns ADD COLUMN codes_freed_at timestamptz;  -- null: its coupons have their keys
GRANT SELECT (codes_freed_at) ON campaigns TO couponry_readonly;

-- Return the code keys and coupon ids of a verdict's refusals. NULL if an earlier version recorded a code without its key;
-- also for a text with a NUL, which PostgreSQL can't read from JSON.
CREATE FUNCTION refused_names(verdict json) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN strpos(verdict::text, '\u0000') = 0 THEN (
        SELECT CASE
            WHEN bool_or(refused ->> 'code' IS NOT NULL AND refused ->> 'code_key' IS NULL) THEN NULL
            ELSE coalesce(array_agg(name) FILTER (WHERE name IS NOT NULL), '{}')
        END
        FROM json_array_elements(verdict -> 'refused') AS refused
        CROSS JOIN LATERAL (VALUES (refused ->> 'code_key'), (refused ->> 'coupon_id')) AS names (name)
    ) END
$$;
CREATE INDEX journal_refused_names ON journal USING gin (refused_names(verdict)) WHERE reasons <> '{}';
CREATE INDEX journal_refused_without_keys ON journal (decided_at) WHERE reasons <> '{}' AND refused_names(verdict) IS NULL;
