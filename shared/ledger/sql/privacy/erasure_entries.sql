-- Put the pseudonym on some of the customer's ledger entries. This function is the only way to change an entry.
SELECT erase_ledger_entries($1, $2)
