"""Where codes come from beforehand: external APIs are asked here; generated codes and pools are the ledger's own."""
