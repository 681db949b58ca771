"""The sender: claims due deliveries, calls the endpoints, records the outcomes.

A delivery is claimed by postponing its next attempt (a lease) and committing. The call is made without an open
transaction; then its outcome is recorded. If the process dies in between, the call is repeated when the lease ends.
Receivers recognise the repeated call by the `webhook-id`, the event's id.
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
"""The most bytes read of a response body, for the record of a failed attempt. Only the status decides the outcome."""

ERROR_CHARACTERS_MAX: Final = 500

OUTAGE_BACKOFF = Backoff(first_seconds=0.5, longest_seconds=30.0)

OUTAGE_ATTEMPTS_MAX: Final = 60
"""Attempts while the database is unavailable (about half an hour) before the process exits to be restarted."""

ATTEMPTS: Final = prometheus_client.Counter("couponry_webhook_attempts", "Webhook calls by outcome.", ["outcome"])


def open_client(policy: WebhookPolicy, resolver: Resolve = resolve) -> httpx.AsyncClient:
    """Return the client for webhook calls: it connects to checked addresses only and follows no redirects."""
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
        """Claim due deliveries up to the concurrency limits, wait until all calls end, and return their number.

        Raises one of `TRY_AGAIN` if the database is unavailable or busy.
        """
        lanes = Lanes(self._policy)
        try:
            started = await self._start_due(lanes)
            if started:
                await asyncio.wait(lanes.tasks)
            lanes.collect()
        finally:
            await _cancel(lanes.tasks)
        return started

    async def run(self, stop: asyncio.Event) -> None:
        """Send until `stop` is set, then finish the running calls (within `drain_seconds`) and return.

        The next call starts as soon as one finishes. Slow endpoints have a lane of their own.

        Raises TransientError if the database is unavailable for too long, EncryptionError if the key of a secret
        isn't set.
        """
        lanes = Lanes(self._policy)
        stopping = asyncio.create_task(stop.wait())
        failures = 0
        try:
            while not stop.is_set():
                wait_seconds = self._policy.poll_seconds
                try:
                    started = await self._start_due(lanes)
                    failures = 0
                    if started and lanes.free_capacity():
                        wait_seconds = 0  # more may be due: an endpoint's share or the batch was full
                except TRY_AGAIN as error:
                    failures += 1
                    if failures >= OUTAGE_ATTEMPTS_MAX:
                        raise TransientError(f"PostgreSQL is unavailable: {error}") from error
                    wait_seconds = OUTAGE_BACKOFF.seconds(failures)
                    log.warning("database unavailable", error=str(error), wait_seconds=wait_seconds)
                wait_seconds = min(wait_seconds, lanes.seconds_until_slow())
                await asyncio.wait({stopping, *lanes.tasks}, timeout=wait_seconds, return_when=asyncio.FIRST_COMPLETED)
                lanes.collect()
            if lanes.tasks:
                await asyncio.wait(lanes.tasks, timeout=self._policy.drain_seconds)
            lanes.collect()
        finally:
            await _cancel({stopping, *lanes.tasks})

    async def _start_due(self, lanes: Lanes) -> int:
        started = 0
        for capacity in lanes.free_capacity():
            for delivery in await claim(self._pool, self._policy, capacity):
                lanes.start(asyncio.create_task(self._deliver(delivery)), delivery)
                started += 1
        return started

    async def _deliver(self, delivery: Delivery) -> None:
        """Call and record. If the database is unavailable, the outcome is lost and the call is repeated later."""
        outcome = await self._attempt(delivery)
        bound_log = log.bind(
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
            bound_log.warning("outcome not recorded", error=str(error))
            return
        ATTEMPTS.labels("retried" if recorded.status == "pending" else recorded.status).inc()
        if recorded.status == "delivered":
            bound_log.debug("delivered")
        else:
            bound_log.warning("attempt failed", error=outcome.error, delivery=recorded.status)
        if recorded.endpoint_disabled_reason:
            bound_log.warning("endpoint disabled", reason=recorded.endpoint_disabled_reason)

    async def _attempt(self, delivery: Delivery) -> Outcome:
        if delivery.attempt > self._policy.attempts_max:
            return Outcome(error=f"All {self._policy.attempts_max} attempts were made; the last outcome was lost")
        started = time.monotonic()
        status_code: int | None = None
        error: str | None = None
        try:
            check_url(delivery.url, allow_private=self._policy.allow_private)
            async with asyncio.timeout(self._policy.timeout_seconds):
                status_code, error = await self._post(delivery)
        except TimeoutError:
            error = f"No response within {self._policy.timeout_seconds:g} seconds"
        except (AddressRefusedError, EndpointError, _SecretError) as refused:
            error = str(refused)
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = f"{type(failure).__name__}: {failure}"
        except EncryptionError:  # a missing key concerns every endpoint; an operator has to set it
            raise
        except Exception as bug:  # one delivery must not stop all others
            telemetry.BUGS.labels("webhook").inc()
            log.exception("bug: an attempt failed", event_id=delivery.event_id, endpoint_id=str(delivery.endpoint_id))
            error = f"Internal error in Couponry ({type(bug).__name__}); see its log for details"
        latency_ms = round((time.monotonic() - started) * 1_000)
        return Outcome(status_code, None if error is None else _storable(error), latency_ms)

    async def _post(self, delivery: Delivery) -> tuple[int, str | None]:
        """Return the response status, and the error unless it is 2xx. Redirects fail: their target isn't configured."""
        headers = _headers(delivery, datetime.now(UTC))
        request = self._client.stream("POST", delivery.url, content=delivery.payload.encode(), headers=headers)
        async with request as response:
            # Read also on success: a connection whose response was read to its end is reused.
            beginning = await _beginning(response)
            if response.is_success:
                return response.status_code, None
            return response.status_code, f"HTTP {response.status_code} {beginning}".rstrip()


class _SecretError(Exception):
    """The endpoint's secret can't sign, for example because it was changed by hand."""


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
    """Return the first bytes of a body, not decompressed: a small response could unpack to an enormous one."""
    body = b""
    async for part in response.aiter_raw():
        body += part
        if len(body) >= RESPONSE_BYTES_MAX:
            break
    return body[:RESPONSE_BYTES_MAX].decode(errors="replace")


def _storable(text: str) -> str:
    """Return `text` as one line of limited length, safe for Postgres and terminals: it is partly foreign input."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:ERROR_CHARACTERS_MAX]


async def _cancel(tasks: Collection[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
