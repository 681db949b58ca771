-- Plan each statement with its values: with null for unused filters, the others still find their index.
SET LOCAL plan_cache_mode = force_custom_plan
