"""Withheld events: outbox events that can't be published, moved away so that they don't block later events.

Withholding moves the row from `outbox` to `outbox_withheld` and appends the event `ledger.event_withheld` in the same
transaction. Publishing again appends the same event, with the same id, at a new position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import orjson

from schemas.common import MAX_ID_LENGTH
from schemas.lifecycle import LedgerEventWithheld
from schemas.topics import COUPONS_LIFECYCLE
from shared.domain.model.ids import derived_id
from shared.ledger.database import Connection, Pool
from shared.ledger.outbox import OutboxRow, append
from shared.ledger.sql import sql

WITHHELD_TYPE: Final = "ledger.event_withheld"
SOURCE: Final = "/couponry/relay"

Reason = Literal["too_large", "refused", "unencodable", "no_topic"]

SENTENCES: Final[dict[Reason, str]] = {
    "too_large": "The broker refuses the event for its size; raise max.message.bytes of its topic.",
    "refused": "The broker refuses the event; see the broker's log.",
    "unencodable": "The event can't be encoded in the configured format.",
    "no_topic": "The broker doesn't have the event's topic; create it with `couponry topics create`.",
}
"""The text in the published event. The error's own text may quote the event, so it stays in the ledger."""

ERROR_TEXT_CHARACTERS: Final = 2_000
KEY_CHARACTERS: Final = 2_000
PUBLISH_AT_ONCE: Final = 500
"""Events per transaction, which holds the outbox lock that every batch with events waits for."""


class NotLeadingError(Exception):
    """Another relay leads, so this one must not change the outbox."""


@dataclass(frozen=True, slots=True)
class Unpublishable:
    """An outbox event that can't be published: its position, why, and the error's own text."""

    position: int
    reason: Reason
    error_text: str


@dataclass(frozen=True, slots=True)
class WithheldEvent:
    """A withheld event for operators. `position` is its former position in the outbox."""

    position: int
    event_id: str
    topic: str
    key: str
    type: str
    error_class: str
    error_text: str
    withheld_at: datetime
    republished_at: datetime | None = None


async def withhold(pool: Pool, relay: str, leader: UUID, unpublishable: Sequence[Unpublishable]) -> list[WithheldEvent]:
    """Move events out of the outbox, and append an event for each. Return those moved by this call.

    A second call moves nothing. `leader` must lead `relay` until the commit, or another relay may publish them.

    Raises:
        NotLeadingError: another relay leads; nothing was moved.
    """
    async with pool.acquire() as connection, connection.transaction():
        if await connection.fetchval(sql("withheld_leader"), relay) != leader:
            raise NotLeadingError(f"relay {leader} does not lead {relay}")
        moved = []
        for event in unpublishable:
            text = _storable(event.error_text[:ERROR_TEXT_CHARACTERS])
            record = await connection.fetchrow(sql("withheld_move"), event.position, event.reason, text)
            if record is not None:
                event_id, topic, key, kind, withheld_at = record[1:]
                moved.append(
                    WithheldEvent(
                        position=event.position,
                        event_id=event_id,
                        topic=topic,
                        key=key,
                        type=kind,
                        error_class=event.reason,
                        error_text=text,
                        withheld_at=withheld_at,
                    )
                )
        await append(connection, [_notice(row) for row in moved if row.type != WITHHELD_TYPE])
    return moved


def notice_data(event: WithheldEvent) -> str:
    """Return the data of `ledger.event_withheld` about `event`, as JSON."""
    data = LedgerEventWithheld(
        event_id=event.event_id,
        event_type=_named(event.type),
        topic=_named(event.topic),
        key=event.key[:KEY_CHARACTERS],
        position=event.position,
        reason=event.error_class,
        message=next((text for reason, text in SENTENCES.items() if reason == event.error_class), None),
        withheld_at=event.withheld_at,
    )
    return orjson.dumps(data.model_dump(), option=orjson.OPT_UTC_Z).decode()


def _storable(text: str) -> str:
    """Return `text` without characters that PostgreSQL can't store; an error may quote any."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def _named(text: str) -> str:
    """Return a name that is valid in an event; any field of a withheld event may be invalid."""
    return text[:MAX_ID_LENGTH] if text.strip() else "none"


def _notice(event: WithheldEvent) -> OutboxRow:
    return OutboxRow(
        event_id=derived_id("withheld", event.event_id, str(event.position)),
        topic=COUPONS_LIFECYCLE.name,
        key=event.event_id,
        type=WITHHELD_TYPE,
        source=SOURCE,
        subject=event.event_id,
        time=event.withheld_at,
        data=notice_data(event),
    )


async def list_withheld(
    connection: Connection, *, republished: bool = False, limit: int = 1_000
) -> list[WithheldEvent]:
    """Return the newest `limit` withheld events, oldest first; with `republished`, those published again too."""
    records = await connection.fetch(sql("withheld_list"), republished, limit)
    return [WithheldEvent(*record) for record in reversed(records)]


async def count_withheld(pool: Pool) -> int:
    """Return how many events are withheld and not published again."""
    count: int = await pool.fetchval(sql("withheld_count"))
    return count


async def publish_again(pool: Pool, positions: Sequence[int] | None) -> list[int]:
    """Put withheld events into the outbox again, each once; None means all. Return their old positions.

    At most PUBLISH_AT_ONCE per transaction, oldest first. Events withheld during the call aren't included.
    """
    last: int = await pool.fetchval(sql("withheld_last"))
    published: list[int] = []
    while True:
        taken = await _publish_some(pool, positions, last)
        published += taken
        if len(taken) < PUBLISH_AT_ONCE:
            return published


async def _publish_some(pool: Pool, positions: Sequence[int] | None, last: int) -> list[int]:
    async with pool.acquire() as connection, connection.transaction():
        records = await connection.fetch(sql("withheld_take"), positions, last, PUBLISH_AT_ONCE)
        taken = [record[0] for record in records]
        await connection.execute(sql("withheld_mark"), taken)
        await append(connection, [OutboxRow(*record[1:]) for record in records])
    return taken
