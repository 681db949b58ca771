-- Some of the person's ledger entries. The function is the only way in which an entry can be changed.
SELECT erase_ledger_entries($1, $2)
