"""Errors after which the notifier retries."""

from typing import Final

from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE
from shared.ledger.engine import CONFLICTS

TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, *CONFLICTS, *NOT_MIGRATED)
"""Errors that mean the database is unavailable or another transaction holds the rows, not that the request is wrong."""
