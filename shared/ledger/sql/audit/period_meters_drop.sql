-- The periods of campaigns whose caps or clock may have changed: they are reckoned anew, or need no totals any longer.
DELETE FROM period_meters WHERE campaign_id = ANY($1::text[])
