-- Whether any campaign changed since the cache was filled.
SELECT coalesce(max(version), 0) FROM campaigns
