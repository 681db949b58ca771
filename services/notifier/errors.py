"""Which errors mean: try again later."""

from typing import Final

from shared.ledger.database import NOT_MIGRATED, UNAVAILABLE
from shared.ledger.engine import CONFLICTS

TRY_AGAIN: Final[tuple[type[BaseException], ...]] = (*UNAVAILABLE, *CONFLICTS, *NOT_MIGRATED)
"""What says that the database is away, or busy with others at the same rows; not that what was asked is wrong."""
