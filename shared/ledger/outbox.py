"""The outbox: events written in the transaction that caused them, and read in commit order.

A writer takes an advisory lock until its commit before it draws positions. So positions are in commit order, and a gap
is never filled later: a reader that remembers one position misses nothing.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from shared.constructor import constructor
from shared.ledger.database import Connection
from shared.ledger.sql import sql

OUTBOX_LOCK = 0x636F7502  # taken last in a transaction, held until its commit


class OutboxRow(NamedTuple):
    """An event to publish, with the names of its columns. `data` is the JSON text of its data; `time` is UTC."""

    event_id: UUID | str
    topic: str
    key: str
    type: str
    source: str
    subject: str
    time: datetime
    data: str
    traceparent: str | None = None


new_outbox_row: Final = constructor(OutboxRow)


async def append(connection: Connection, rows: Sequence[OutboxRow]) -> None:
    """Write `rows` in their order. Call it last in a transaction, because it takes the outbox lock."""
    if not rows:
        return
    await connection.execute(sql("outbox_lock"), OUTBOX_LOCK)
    await connection.copy_records_to_table("outbox", records=rows, columns=OutboxRow._fields)


async def read_after(connection: Connection, position: int, limit: int) -> list[tuple[int, OutboxRow]]:
    """Return at most `limit` events after `position`, with their positions, in commit order."""
    records = await connection.fetch(sql("outbox_read_after"), position, limit)
    return [(record[0], OutboxRow(*record[1:])) for record in records]
