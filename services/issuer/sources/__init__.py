"""External sources of codes. Generated codes and pools are part of the ledger."""
