-- Record the occasions that a shared code was issued for. An existing occasion breaks the key: the batch runs again and
-- sees it.
INSERT INTO shared_occasions (occasion, campaign_id)
SELECT occasion, campaign_id FROM unnest($1::text[], $2::text[]) AS handed_out (occasion, campaign_id)
