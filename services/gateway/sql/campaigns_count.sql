-- How many campaigns there are.
SELECT count(*) FROM campaigns
