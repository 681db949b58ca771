"""The sender: takes what is due, calls the endpoints, writes down what they answered.

A delivery is taken by putting its next attempt ahead (a lease) and committing; the call is made with no transaction
open; then its outcome is recorded. A process that dies in between has made a call that nobody remembers, and when the
lease is over another attempt is made: receivers tell the two apart from two events by the `webhook-id`, the event's id.
"""

import asyncio
import time
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Final

import httpx
import prometheus_client
from standardwebhooks import Webhook
from standardwebhooks.webhooks import EmptyWebhookSecretError

from services.notifier.errors import TRY_AGAIN
from services.notifier.webhooks.deliveries import Delivery, Outcome, claim, record
from services.notifier.webhooks.lanes import LANES, Lanes
from services.notifier.webhooks.policy import WebhookPolicy
from shared.ledger.database import Pool
from shared.outgoing import transport
from shared.outgoing.addresses import AddressRefusedError, Resolve, resolve
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.encryption import DamagedSecretError, EncryptionError, keyring
from shared.runtime.errors import TransientError
from shared.runtime.logging import get_logger
from shared.webhooks.endpoints import EndpointError, about, check_url

log = get_logger("webhooks")

RESPONSE_BYTES_MAX: Final = 4_096
"""An answer is its status; of the body the beginning is read, for the record of a failed attempt."""

ERROR_CHARACTERS_MAX: Final = 500

AWAY = Backoff(first_seconds=0.5, longest_seconds=30.0)

AWAY_ATTEMPTS_MAX: Final = 60
"""Tries while the database is away, half an hour, before the process leaves to be started again."""

ATTEMPTS: Final = prometheus_client.Counter(
    "couponry_webhook_attempts", "Webhook calls by what became of them.", ["outcome"]
)


def open_client(policy: WebhookPolicy, resolver: Resolve = resolve) -> httpx.AsyncClient:
    """Return the client that webhooks are sent by: checked addresses only, no redirects."""
    return transport.open_client(
        allow_private=policy.allow_private,
        connections=LANES * policy.concurrency,
        timeout_seconds=policy.timeout_seconds,
        user_agent="Couponry-Webhooks",
        resolver=resolver,
    )


class Sender:
    """Sends due deliveries. Any number of senders, in any number of processes, share the work."""

    def __init__(self, pool: Pool, client: httpx.AsyncClient, policy: WebhookPolicy) -> None:
        self._pool = pool
        self._client = client
        self._policy = policy

    async def run_once(self) -> int:
        """Take what is due, at most as much as may run at a time, wait for its end; return how many attempts that was.

        Raises one of `TRY_AGAIN` when the database is away or busy.
        """
        lanes = Lanes(self._policy)
        try:
            taken = await self._start_due(lanes)
            if taken:
                await asyncio.wait(lanes.tasks)
            lanes.collect()
        finally:
            await _cancel(lanes.tasks)
        return taken

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then finish the calls under way (within `drain_seconds`) and return.

        Every finished call makes room for the next, and slow endpoints have a lane of their own, so that a slow
        endpoint holds up nobody but itself.

        Raises TransientError when the database has been away for too long, EncryptionError when a secret needs a key
        that isn't set.
        """
        lanes = Lanes(self._policy)
        stopping = asyncio.create_task(stop.wait())
        away = 0
        try:
            while not stop.is_set():
                wait_seconds = self._policy.poll_seconds
                try:
                    taken = await self._start_due(lanes)
                    away = 0
                    if taken and lanes.rooms():
                        wait_seconds = 0  # there may be more: an endpoint's share was full, or the batch was
                except TRY_AGAIN as error:
                    away += 1
                    if away >= AWAY_ATTEMPTS_MAX:
                        raise TransientError(f"PostgreSQL is away: {error}") from error
                    wait_seconds = AWAY.seconds(away)
                    log.warning("database away", error=str(error), wait_seconds=wait_seconds)
                wait_seconds = min(wait_seconds, lanes.seconds_until_slow())
                await asyncio.wait({stopping, *lanes.tasks}, timeout=wait_seconds, return_when=asyncio.FIRST_COMPLETED)
                lanes.collect()
            if lanes.tasks:
                await asyncio.wait(lanes.tasks, timeout=self._policy.drain_seconds)
            lanes.collect()
        finally:
            await _cancel({stopping, *lanes.tasks})

    async def _start_due(self, lanes: Lanes) -> int:
        taken = 0
        for room in lanes.rooms():
            for delivery in await claim(self._pool, self._policy, room):
                lanes.start(asyncio.create_task(self._see_through(delivery)), delivery)
                taken += 1
        return taken

    async def _see_through(self, delivery: Delivery) -> None:
        """Call, and record. When the database is away the outcome is lost, and the lease brings another attempt."""
        outcome = await self._attempt(delivery)
        about = log.bind(
            event_id=delivery.event_id,
            endpoint_id=str(delivery.endpoint_id),
            attempt=delivery.attempt,
            status_code=outcome.status_code,
            latency_ms=outcome.latency_ms,
        )
        try:
            recorded = await record(self._pool, self._policy, delivery, outcome)
        except TRY_AGAIN as error:
            ATTEMPTS.labels("unrecorded").inc()
            about.warning("outcome not recorded", error=str(error))
            return
        ATTEMPTS.labels("retried" if recorded.status == "pending" else recorded.status).inc()
        if recorded.status == "delivered":
            about.debug("delivered")
        else:
            about.warning("attempt failed", error=outcome.error, delivery=recorded.status)
        if recorded.endpoint_disabled_reason:
            about.warning("endpoint disabled", reason=recorded.endpoint_disabled_reason)

    async def _attempt(self, delivery: Delivery) -> Outcome:
        if delivery.attempt > self._policy.attempts_max:
            return Outcome(error=f"All {self._policy.attempts_max} attempts were begun; what the last met was lost")
        started = time.monotonic()
        status_code: int | None = None
        error: str | None = None
        try:
            check_url(delivery.url, allow_private=self._policy.allow_private)
            async with asyncio.timeout(self._policy.timeout_seconds):
                status_code, error = await self._post(delivery)
        except TimeoutError:
            error = f"No answer within {self._policy.timeout_seconds:g} seconds"
        except (AddressRefusedError, EndpointError, _SecretError) as refused:
            error = str(refused)
        except (httpx.HTTPError, httpx.InvalidURL) as trouble:
            error = f"{type(trouble).__name__}: {trouble}"
        except EncryptionError:  # a key is missing, which concerns every endpoint: a person has to set it
            raise
        except Exception as bug:  # one delivery must not end the sending of all others
            telemetry.BUGS.labels("webhook").inc()
            log.exception("bug: an attempt failed", event_id=delivery.event_id, endpoint_id=str(delivery.endpoint_id))
            error = f"Couponry met a bug ({type(bug).__name__}); its log has the details"
        latency_ms = round((time.monotonic() - started) * 1_000)
        return Outcome(status_code, None if error is None else _storable(error), latency_ms)

    async def _post(self, delivery: Delivery) -> tuple[int, str | None]:
        """The answer's status, and why it is a failure unless it is 2xx. A redirect is one: nobody chose its target."""
        headers = _headers(delivery, datetime.now(UTC))
        request = self._client.stream("POST", delivery.url, content=delivery.payload.encode(), headers=headers)
        async with request as response:
            # Read in any case: a connection whose answer was read to its end serves the next call too.
            beginning = await _beginning(response)
            if response.is_success:
                return response.status_code, None
            return response.status_code, f"HTTP {response.status_code} {beginning}".rstrip()


class _SecretError(Exception):
    """The endpoint's secret, which somebody changed by hand, can't sign."""


def _headers(delivery: Delivery, now: datetime) -> dict[str, str]:
    try:
        stored = [delivery.secret, *([delivery.previous_secret] if delivery.previous_secret else [])]
        secrets = [keyring().decrypt(one, about(delivery.endpoint_id)) for one in stored]
        signature = " ".join(Webhook(secret).sign(delivery.event_id, now, delivery.payload) for secret in secrets)
    except DamagedSecretError as error:
        raise _SecretError(str(error)) from error
    except (ValueError, EmptyWebhookSecretError) as error:
        raise _SecretError(f"The endpoint's secret can't sign: {error}") from error
    return {
        "content-type": "application/json",
        "webhook-id": delivery.event_id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


async def _beginning(response: httpx.Response) -> str:
    """The first bytes of a body, not decompressed: a small answer can unpack to an enormous one."""
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) >= RESPONSE_BYTES_MAX:
            break
    return body[:RESPONSE_BYTES_MAX].decode(errors="replace")


def _storable(text: str) -> str:
    """One bounded line that Postgres and a terminal can take: another party wrote part of it."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:ERROR_CHARACTERS_MAX]


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
