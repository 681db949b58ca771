-- Delete the totals of periods of campaigns whose caps or time zone may have changed: they are computed again or not
-- needed.
DELETE FROM period_meters WHERE campaign_id = ANY($1::text[])
