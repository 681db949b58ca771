-- Read what decides about the reminders of campaigns, to find out whether saving them changes it.
SELECT campaign_id, jsonb_build_array(status, definition #> '{window,remind_days}', definition #> '{window,ends_at}',
                                      definition #> '{window,time_zone}')::text AS facts
FROM campaigns
WHERE campaign_id = ANY($1::text[])
