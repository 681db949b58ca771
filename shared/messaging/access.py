"""Check, once before a service starts, that the brokers accept this installation's login and TLS settings.

The client retries a refused password or an untrusted certificate for ever and reports it like an outage. Only an
operator can fix these, so they end the process with an error message.
"""

import asyncio
import ssl
from typing import Any, Final

from aiokafka.conn import AIOKafkaConnection
from aiokafka.errors import (
    IllegalSaslStateError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)

from shared.messaging.connection import client_options
from shared.runtime.errors import OperatorError
from shared.runtime.settings import PREFIX, KafkaSettings

ASKED: Final = 3
"""The number of attempts. A starting broker may not have read its users yet, so one refusal isn't final."""

PAUSE_SECONDS: Final = 1.0
CLOSE_SECONDS: Final = 1.0
"""The most seconds to wait for a broker that doesn't answer the end of a TLS connection."""

CONNECTION_OPTIONS: Final = (
    "client_id", "request_timeout_ms", "security_protocol", "ssl_context", "sasl_mechanism", "sasl_plain_username",
    "sasl_plain_password",
)  # fmt: skip

_REFUSALS: Final = (
    ssl.SSLError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
    IllegalSaslStateError,
)


async def check_access(settings: KafkaSettings) -> None:
    """Raise OperatorError if a broker refuses the login or its certificate isn't trusted, and no broker accepts us.

    Unavailable brokers are not checked. Without TLS and SASL there is nothing to check.
    """
    if settings.kafka_security_protocol == "PLAINTEXT":
        return
    for attempt in range(1, ASKED + 1):
        refusal = await _refusal(settings)
        if refusal is None:
            return
        if attempt < ASKED:
            await asyncio.sleep(PAUSE_SECONDS)
    raise OperatorError(refusal)


async def _refusal(settings: KafkaSettings) -> str | None:
    """Return the first broker's reason for refusing; None if a broker accepts us, or none answers."""
    options = {name: value for name, value in client_options(settings, "couponry-access").items() if value is not None}
    refusal = None
    for broker in settings.kafka_bootstrap_servers.split(","):
        host, _, port = broker.strip().rpartition(":")
        try:
            await _log_in(host, int(port), {name: options[name] for name in CONNECTION_OPTIONS if name in options})
        except _REFUSALS as error:
            refusal = refusal or _sentence(broker.strip(), error, settings)
        except (OSError, KafkaError, TimeoutError, ValueError):
            continue
        else:
            return None
    return refusal


async def _log_in(host: str, port: int, options: dict[str, Any]) -> None:
    """Connect, log in and disconnect. Raises what the client raises."""
    connection = AIOKafkaConnection(host, port, **options)
    closed = None
    try:
        await connection.connect()
        closed = connection.close()
    except KafkaError:
        closed = connection.close()  # the client has begun to close it
        raise
    finally:
        # TLS ends with an exchange of messages. An event loop that stops before leaves the socket open.
        if closed is not None:
            await asyncio.wait([closed], timeout=CLOSE_SECONDS)


def _sentence(broker: str, error: Exception, settings: KafkaSettings) -> str:
    text = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"The broker at {broker} shows a certificate that isn't trusted ({error.verify_message}): set "
            f"{PREFIX}KAFKA_SSL_CAFILE to the authority that signed it, and name brokers as their certificates do."
        )
    if isinstance(error, ssl.SSLError):
        return (
            f"The broker at {broker} speaks no TLS that is understood ({text}): "
            f"{PREFIX}KAFKA_SECURITY_PROTOCOL={settings.kafka_security_protocol} needs its TLS port."
        )
    return (
        f"The broker at {broker} refuses the login ({text}): check {PREFIX}KAFKA_SASL_USERNAME, "
        f"{PREFIX}KAFKA_SASL_PASSWORD and {PREFIX}KAFKA_SASL_MECHANISM={settings.kafka_sasl_mechanism}."
    )
