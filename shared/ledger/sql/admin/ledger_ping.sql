-- Check that the ledger answers: the database, its tables, and the right to read them.
SELECT FROM journal LIMIT 0
