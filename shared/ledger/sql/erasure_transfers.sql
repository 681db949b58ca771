-- Some of the person's ledger entries. The function is the only way in which an entry can be changed.
SELECT erase_transfers($1, $2)
