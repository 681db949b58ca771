-- Delete the totals of periods of campaigns whose caps or clock may have changed: they are computed again or no longer needed.
DELETE FROM period_meters WHERE campaign_id = ANY($1::text[])
