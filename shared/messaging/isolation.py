"""Keeps a bug to the event that meets it: its neighbours are handled, and it becomes a dead letter.

A handler raises for a batch. The batch is halved until the event that raises stands alone. Only where event after event
fails this way, and none succeeds, something is wrong with the service itself: then it stops, and commits nothing of the
batch in hand.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from aiokafka.errors import KafkaError

from shared.messaging.connection import is_transient
from shared.messaging.records import ReceivedEvent
from shared.runtime import telemetry
from shared.runtime.errors import OperatorError
from shared.runtime.logging import bound, get_logger

log = get_logger("consumer")

BUG: Final = "bug"
"""The error class of a dead letter that met a bug. `couponry dlq replay --all --error bug` replays them."""

STOP_AFTER: Final = 200
"""Events in a row that met a bug, with none between them that didn't, before the service counts as broken.

Dead letters can be replayed, so a low number isn't needed to protect the input. A high one keeps a producer that sends
bad events in a burst from stopping a service that works.
"""


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that was decoded but can't be executed, and why. With `is_bug` a later version may execute it."""

    event: ReceivedEvent
    error_class: str
    error_text: str
    is_bug: bool = False


class Handler(Protocol):
    """What a service does with events."""

    async def handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        """Execute all `events` of one batch, in order, durably; return those that are poison.

        Must be safe to run again with the same events. Raises TransientError when something is away; any other
        exception is a bug.
        """
        ...


class ServiceBrokenError(Exception):
    """Every event meets a bug. The cause is what the last one raised, where the handler raised it."""


class Isolating:
    """Handles batches by `handler`, and keeps a bug to the event that meets it."""

    def __init__(self, handler: Handler, service_name: str, *, stop_after: int = STOP_AFTER) -> None:
        self._handler = handler
        self._service = service_name
        self._stop_after = stop_after
        self._in_a_row = 0
        self._last: Exception | None = None

    async def handle(self, events: Sequence[ReceivedEvent]) -> list[Poison]:
        """Handle `events`; return those that are poison, with those that met a bug among them.

        Raises TransientError, OperatorError and their like as the handler does, ServiceBrokenError when `stop_after`
        events in a row met a bug.
        """
        poison = await self._halving(events)
        met_a_bug = {id(one.event) for one in poison if one.is_bug}
        in_a_row = self._in_a_row + len(events)
        for number, event in enumerate(events, start=1):
            if id(event) not in met_a_bug:
                in_a_row = len(events) - number
        if in_a_row >= self._stop_after:
            raise ServiceBrokenError(f"{in_a_row} events in a row met a bug. {poison[-1].error_text}") from self._last
        self._in_a_row = in_a_row
        return poison

    async def _halving(self, events: Sequence[ReceivedEvent]) -> list[Poison]:
        try:
            return list(await self._handler.handle(events))
        except Exception as error:
            if isinstance(error, KafkaError | OperatorError) or is_transient(error):
                raise
            if len(events) == 1:
                return [self._poison(events[0], error)]
        middle = len(events) // 2
        return await self._halving(events[:middle]) + await self._halving(events[middle:])

    def _poison(self, event: ReceivedEvent, error: Exception) -> Poison:
        self._last = error
        telemetry.BUGS.labels(self._service).inc()
        with bound(event_id=event.id, subject=event.subject):
            log.error("bug: event becomes a dead letter", type=event.type, exc_info=error)
        return Poison(
            event,
            BUG,
            f"The {self._service} met a bug ({type(error).__name__}: {error}); its log has the traceback. "
            "Replay the event after an upgrade.",
            is_bug=True,
        )
