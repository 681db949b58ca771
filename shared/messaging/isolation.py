"""Isolate the event that causes a bug: it becomes a dead letter, and the other events of the batch are handled.

If a handler raises for a batch, the batch is halved until the failing event is alone. If many events in a row fail and
none succeeds, the service itself is broken: it stops and commits nothing of the current batch.
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
"""The error class of dead letters caused by a bug. `couponry dlq replay --all --error bug` replays them."""

STOP_AFTER: Final = 200
"""The number of consecutive events that fail with a bug after which the service counts as broken.

Dead letters can be replayed, so the input needs no low number. A high number keeps a burst of bad events from stopping
a working service.
"""


@dataclass(frozen=True, slots=True)
class Poison:
    """An event that was decoded but can't be executed, and why. If `is_bug`, a later version may execute it."""

    event: ReceivedEvent
    error_class: str
    error_text: str
    is_bug: bool = False


class Handler(Protocol):
    """The part of a service that executes events."""

    async def handle(self, events: Sequence[ReceivedEvent]) -> Sequence[Poison]:
        """Execute all `events` of one batch, in order, durably; return those that are poison.

        Must be safe to run again with the same events. Raises TransientError for an outage; any other exception is a
        bug.
        """
        ...


class ServiceBrokenError(Exception):
    """Every event fails with a bug. The cause is the handler's last exception, if there is one."""


class Isolating:
    """Handles batches with `handler`, and turns an event that causes a bug into poison."""

    def __init__(self, handler: Handler, service_name: str, *, stop_after: int = STOP_AFTER) -> None:
        self._handler = handler
        self._service = service_name
        self._stop_after = stop_after
        self._in_a_row = 0
        self._last: Exception | None = None

    async def handle(self, events: Sequence[ReceivedEvent]) -> list[Poison]:
        """Handle `events`; return those that are poison, including those that failed with a bug.

        Raises TransientError, OperatorError and similar errors of the handler, and ServiceBrokenError if `stop_after`
        events in a row failed with a bug.
        """
        poison = await self._halving(events)
        failed = {id(poisoned.event) for poisoned in poison if poisoned.is_bug}
        in_a_row = self._in_a_row + len(events)
        for number, event in enumerate(events, start=1):
            if id(event) not in failed:
                in_a_row = len(events) - number
        if in_a_row >= self._stop_after:
            raise ServiceBrokenError(
                f"{in_a_row} events in a row failed with a bug. {poison[-1].error_text}"
            ) from self._last
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
            f"A bug in the {self._service} ({type(error).__name__}: {error}); its log has the traceback. "
            "Replay the event after an upgrade.",
            is_bug=True,
        )
