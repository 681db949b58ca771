"""Start and end a service process: log, signals, health, watchdog, exit code.

    settings = load_settings_or_exit(RedeemerSettings)
    sys.exit(run_service(main, settings, "redeemer"))

where `main(context)` works until `context.stopping` is set. Exit codes: 0 stopped as requested · 2 a setting is missing
or wrong · 70 a bug · 75 database or broker unavailable for too long, no progress, or not drained in time: restart it.
"""

import asyncio
import gc
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from shared.runtime.errors import EXIT_BAD_SETTINGS, EXIT_BUG, EXIT_CLEAN, EXIT_RESTART, OperatorError, TransientError
from shared.runtime.health import Health, health_server, watchdog
from shared.runtime.logging import configure_logging, get_logger
from shared.runtime.settings import ServiceSettings
from shared.runtime.shutdown import stop_on_signals

SomeSettings = TypeVar("SomeSettings", bound=ServiceSettings)
GARBAGE_OBJECTS = 100_000
"""About the number of objects of one batch: at most some tens of megabytes before a collection."""
log = get_logger("service")


@dataclass(frozen=True, slots=True)
class ServiceContext(Generic[SomeSettings]):
    """The argument of a service's `main`, which must return soon after `stopping` is set."""

    name: str
    settings: SomeSettings
    stopping: asyncio.Event
    health: Health


Main = Callable[[ServiceContext[SomeSettings]], Awaitable[None]]


def run_service(main: Main[SomeSettings], settings: SomeSettings, name: str) -> int:
    """Run `main` until it returns or a signal stops it; return the exit code, even if `main` raises."""
    configure_logging(settings, name)
    _collect_garbage_rarely()
    return asyncio.run(_run(main, settings, name))


async def together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run a service's loops concurrently until all have returned; if one fails, the others are cancelled.

    Raises the first failure itself, not a group, because it decides the exit code.
    """
    try:
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed


def _collect_garbage_rarely() -> None:
    """Keep the garbage collector from running during batches.

    A batch creates tens of thousands of objects, which are freed at its end without any cycles. A collection every 700
    objects took an eighth of a redeemer's time. Imported objects are excluded from collections.
    """
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 50)


async def _run(main: Main[SomeSettings], settings: SomeSettings, name: str) -> int:
    health = Health(settings.progress_timeout_seconds, settings.ready_seconds)
    context = ServiceContext(name, settings, asyncio.Event(), health)
    try:
        with stop_on_signals(context.stopping), watchdog(health):
            async with health_server(health, settings.health_host, settings.health_port):
                log.info("started", exit_within_seconds=settings.drain_seconds)
                await _until_drained(main, context)
    except OperatorError as error:
        log.error("can't run", problem=str(error))  # noqa: TRY400 - a message for the operator, not a traceback
        return EXIT_BAD_SETTINGS
    except TransientError as error:
        log.error("exiting to be restarted", problem=str(error), exit_code=EXIT_RESTART)  # noqa: TRY400
        return EXIT_RESTART
    except Exception:
        log.exception("bug: exiting without committing", exit_code=EXIT_BUG)
        return EXIT_BUG
    log.info("stopped")
    return EXIT_CLEAN


async def _until_drained(main: Main[SomeSettings], context: ServiceContext[SomeSettings]) -> None:
    """Wait for `main`; after a request to stop, for `drain_seconds` at most."""
    work = asyncio.ensure_future(main(context))
    stop_requested = asyncio.create_task(context.stopping.wait())
    try:
        await asyncio.wait({work, stop_requested}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            await asyncio.wait({work}, timeout=context.settings.drain_seconds)
        if not work.done():
            log.error("not drained in time: exiting; uncommitted work will be done again", exit_code=EXIT_RESTART)
            logging.shutdown()
            os._exit(EXIT_RESTART)  # cancelling might hang too
        await work
    finally:
        stop_requested.cancel()
