"""Logging with structlog: JSON lines in production, readable on a terminal, the same for our lines and libraries'."""

import logging
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Final

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from shared.runtime.log_throttle import OncePerWindow
from shared.runtime.printable import printable
from shared.runtime.settings import CommonSettings

# At DEBUG these log their content, such as records with email addresses and phone numbers. At INFO they log too much.
NEVER_BELOW_WARNING: Final = ("aiokafka", "kafka", "asyncio", "httpx", "httpcore", "uvicorn", "asyncpg")


def configure_logging(settings: CommonSettings, service_name: str) -> None:
    """Send every log line of this process to standard error, with the service's name. Call once, at the start."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _with_service(service_name),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_renderers(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    level = settings.log_level.upper()
    root.setLevel(level)
    for name in NEVER_BELOW_WARNING:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
    handler.addFilter(_library_throttle())


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger: `log.info("batch committed", records=500)`. The event is a fixed phrase; values are fields."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(name)
    return logger


def bound(**fields: Any) -> AbstractContextManager[None]:
    """Add `fields` (event_id, order_id, …) to every line logged inside, across awaits and by libraries too."""
    return structlog.contextvars.bound_contextvars(**fields)


def _library_throttle() -> Callable[[logging.LogRecord], bool]:
    """Return a filter for the handler, because a logger's filters don't see the lines of its child loggers."""
    once = OncePerWindow()
    return lambda record: not record.name.startswith(NEVER_BELOW_WARNING) or once.filter(record)


def _with_service(service_name: str) -> Processor:
    def add(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service_name)
        return event

    return add


def _renderers(settings: CommonSettings) -> list[Processor]:
    readable = settings.log_format == "console" or (settings.log_format == "auto" and sys.stderr.isatty())
    if readable:
        # A plain traceback: the default one prints local variables, among them customers' contacts.
        plain = structlog.dev.plain_traceback
        return [_printable_fields, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)]
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_json)]


def _printable_fields(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape text from outside in fields, such as the error of a dead letter, so that it can't control the terminal."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _json(event: EventDict, **_options: Any) -> str:
    return orjson.dumps(event, default=repr, option=orjson.OPT_NON_STR_KEYS).decode()
