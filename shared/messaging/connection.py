"""Connection options of all Kafka clients, and the errors that mean an outage."""

import asyncio
import ssl
from typing import Any, Final

from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NoBrokersAvailable, NodeNotReadyError
from aiokafka.helpers import create_ssl_context

from shared.runtime.errors import OperatorError, TransientError
from shared.runtime.settings import PREFIX, KafkaSettings

REQUEST_TIMEOUT_MS: Final = 10_000
"""A broker that doesn't answer for this time counts as dead. aiokafka's default of 40 s hides an outage too long."""

METADATA_MAX_AGE_MS: Final = 30_000
"""A topic that is created or gets partitions at run time is seen within this time."""

_OUTAGE: Final = (
    TransientError,
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    NoBrokersAvailable,
    ConnectionError,
    TimeoutError,
    asyncio.TimeoutError,
)


def client_options(settings: KafkaSettings, client_id: str) -> dict[str, Any]:
    """Return the arguments that aiokafka's consumer, producer and admin client have in common."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "client_id": client_id,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "metadata_max_age_ms": METADATA_MAX_AGE_MS,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        options["ssl_context"] = _ssl_context(settings)
    if settings.kafka_security_protocol.startswith("SASL") and settings.kafka_sasl_password is not None:
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = settings.kafka_sasl_password.get_secret_value()
    return options


def _ssl_context(settings: KafkaSettings) -> ssl.SSLContext:
    """Return a context that verifies the broker's name and certificate. Raises OperatorError."""
    try:
        context: ssl.SSLContext = create_ssl_context(
            cafile=settings.kafka_ssl_cafile,
            certfile=settings.kafka_ssl_certfile,
            keyfile=settings.kafka_ssl_keyfile,
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise OperatorError(
            f"A certificate or key for the broker can't be read ({error}): check {PREFIX}KAFKA_SSL_CAFILE, "
            f"{PREFIX}KAFKA_SSL_CERTFILE and {PREFIX}KAFKA_SSL_KEYFILE."
        ) from error
    return context


def is_transient(error: BaseException) -> bool:
    """Return whether a retry may succeed: the broker is unavailable, or a handler raised TransientError."""
    return isinstance(error, _OUTAGE) or (isinstance(error, KafkaError) and bool(getattr(error, "retriable", False)))
