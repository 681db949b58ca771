-- Filters that aren't asked for are null; planned with the values at hand, the others find their index.
SET LOCAL plan_cache_mode = force_custom_plan
