-- Return the newest version of any campaign, which shows whether the cache is stale.
SELECT coalesce(max(version), 0) FROM campaigns
