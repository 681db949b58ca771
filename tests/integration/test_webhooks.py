"""Webhooks on a real PostgreSQL, sent to a real HTTP server on loopback."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address
from uuid import UUID, uuid4

import h11
import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from services.notifier.webhooks import deliveries
from services.notifier.webhooks import sender as sender_module
from services.notifier.webhooks.deliveries import Message
from services.notifier.webhooks.policy import WebhookPolicy
from services.notifier.webhooks.sender import Sender, open_client
from shared.ledger.database import Pool, open_pool
from shared.outgoing.addresses import Address, Resolve, resolve
from shared.webhooks import endpoints
from tests.integration.webhook_receiver import LOCAL, Call, Receiver, receiving, status

pytestmark = pytest.mark.postgres

PAYLOAD = '{"type":"coupon.redeemed","timestamp":"2026-11-22T09:30:00Z","data":{"order_id":"ORD456","café":"☕"}}'


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, application_name="webhook tests")
    yield opened
    await opened.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


@asynccontextmanager
async def sending(pool: Pool, policy: WebhookPolicy = LOCAL, resolver: Resolve = resolve) -> AsyncIterator[Sender]:
    async with open_client(policy, resolver) as client:
        yield Sender(pool, client, policy)


async def enqueue(pool: Pool, count: int = 1, event_type: str = "coupon.redeemed") -> list[str]:
    """Add deliveries of `count` new events; return the events' ids."""
    messages = [Message(uuid4(), event_type, PAYLOAD) for _ in range(count)]
    async with pool.acquire() as connection, connection.transaction():
        await deliveries.enqueue(connection, messages)
    return [str(message.event_id) for message in messages]


async def let_waits_pass(pool: Pool) -> None:
    """Act as if the longest wait were over."""
    await pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now() WHERE status = 'pending'")


async def delivery_states(pool: Pool) -> Counter[str]:
    return Counter(record["status"] for record in await pool.fetch("SELECT status FROM webhook_deliveries"))


async def only_endpoint(pool: Pool) -> endpoints.Endpoint:
    (endpoint,) = await endpoints.list_all(pool)
    return endpoint


async def test_a_delivery_is_signed_so_that_the_receivers_library_verifies_it(pool: Pool, receiver: Receiver) -> None:
    endpoint = await endpoints.add(pool, receiver.url(path="/hooks?tenant=7"), allow_private=True)
    (event_id,) = await enqueue(pool)
    async with sending(pool) as sender:
        assert await sender.run_once() == 1
    (call,) = receiver.calls
    assert Webhook(endpoint.secret).verify(call.body, call.headers)["data"]["order_id"] == "ORD456"
    assert call.webhook_id == event_id
    assert call.path == "/hooks?tenant=7"
    assert call.headers["content-type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(endpoint.secret).verify(call.body.replace("ORD456", "ORD457"), call.headers)


async def test_a_delivered_event_is_recorded_and_not_repeated(pool: Pool, receiver: Receiver) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    async with sending(pool) as sender:
        await sender.run_once()
        await let_waits_pass(pool)
        assert await sender.run_once() == 0
    assert len(receiver.calls) == 1
    (attempt,) = await pool.fetch("SELECT attempt, status_code, error, latency_ms FROM webhook_attempts")
    assert (attempt["attempt"], attempt["status_code"], attempt["error"]) == (1, 200, None)
    assert attempt["latency_ms"] >= 0
    assert await delivery_states(pool) == {"delivered": 1}


async def test_an_endpoint_gets_only_its_event_types(pool: Pool, receiver: Receiver) -> None:
    await endpoints.add(pool, receiver.url(path="/refused"), ["coupon.redemption_refused"], allow_private=True)
    await endpoints.add(pool, receiver.url(path="/all"), ["*"], allow_private=True)
    await enqueue(pool, event_type="coupon.redeemed")
    await enqueue(pool, event_type="coupon.redemption_refused")
    async with sending(pool) as sender:
        assert await sender.run_once() == 3
    assert Counter(call.path for call in receiver.calls) == {"/all": 2, "/refused": 1}


@pytest.mark.parametrize("code", [301, 302, 307, 400, 404, 500, 503])
async def test_an_unsuccessful_response_is_retried_after_a_wait(pool: Pool, receiver: Receiver, code: int) -> None:
    receiver.answer = status(code, headers=(("location", receiver.url(path="/elsewhere")),))
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    async with sending(pool) as sender:
        assert await sender.run_once() == 1
        assert await sender.run_once() == 0
    assert [call.path for call in receiver.calls] == ["/hooks"]  # a redirect is not followed
    assert await pool.fetchval("SELECT status_code FROM webhook_attempts") == code
    assert await delivery_states(pool) == {"pending": 1}


async def test_waits_grow_from_attempt_to_attempt(pool: Pool, receiver: Receiver) -> None:
    receiver.answer = status(500)
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    steps = [5, 20, 80, 320]
    async with sending(pool) as sender:
        for step in steps:
            await let_waits_pass(pool)
            await sender.run_once()
            # The start and the length of an attempt are recorded, so the wait can be computed afterwards.
            waited = await pool.fetchval(
                "SELECT extract(epoch FROM next_attempt_at - attempted_at)::float8 - latency_ms / 1000.0"
                " FROM webhook_deliveries JOIN webhook_attempts USING (delivery_id) ORDER BY attempt DESC LIMIT 1"
            )
            assert step / 2 <= round(waited, 3) <= step
    assert [record[0] for record in await pool.fetch("SELECT attempt FROM webhook_attempts ORDER BY 1")] == [1, 2, 3, 4]


async def test_a_delivery_has_failed_after_its_last_attempt(pool: Pool, receiver: Receiver) -> None:
    receiver.answer = status(500)
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    async with sending(pool, replace(LOCAL, attempts_max=3)) as sender:
        for _ in range(5):
            await sender.run_once()
            await let_waits_pass(pool)
    assert len(receiver.calls) == 3
    assert len({call.webhook_id for call in receiver.calls}) == 1
    assert await delivery_states(pool) == {"failed": 1}
    endpoint = await only_endpoint(pool)
    assert (endpoint.status, endpoint.consecutive_failures) == ("active", 1)


async def test_an_endpoint_is_disabled_after_failed_deliveries_in_a_row_and_says_why(
    pool: Pool, receiver: Receiver
) -> None:
    receiver.answer = status(500)
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool, 3)
    async with sending(pool, replace(LOCAL, attempts_max=1, disable_after=3)) as sender:
        await sender.run_once()
        endpoint = await only_endpoint(pool)
        assert endpoint.status == "disabled"
        assert endpoint.disabled_reason == "3 deliveries in a row failed; the last error: HTTP 500"
        await enqueue(pool)
        assert await sender.run_once() == 0
    assert await delivery_states(pool) == {"failed": 3}  # and none was written for a disabled endpoint


async def test_a_delivery_that_succeeds_ends_the_row_of_failures(pool: Pool, receiver: Receiver) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    async with sending(pool, replace(LOCAL, attempts_max=1, disable_after=3)) as sender:
        for code in (500, 500, 200, 500, 500):
            receiver.answer = status(code)
            await enqueue(pool)
            await sender.run_once()
    endpoint = await only_endpoint(pool)
    assert (endpoint.status, endpoint.consecutive_failures) == ("active", 2)


async def test_an_endpoint_that_is_gone_is_disabled_at_once(pool: Pool, receiver: Receiver) -> None:
    receiver.answer = status(410)
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    async with sending(pool) as sender:
        await sender.run_once()
        await let_waits_pass(pool)
        assert await sender.run_once() == 0
    endpoint = await only_endpoint(pool)
    assert (endpoint.status, endpoint.disabled_reason) == ("disabled", "The endpoint answered 410 Gone.")
    assert await delivery_states(pool) == {"failed": 1}


async def test_pending_deliveries_are_sent_when_an_endpoint_is_enabled_again(pool: Pool, receiver: Receiver) -> None:
    endpoint_id = (await endpoints.add(pool, receiver.url(), allow_private=True)).endpoint_id
    await enqueue(pool, 2)
    await endpoints.disable(pool, endpoint_id, "Its owner asked for it.")
    async with sending(pool) as sender:
        assert await sender.run_once() == 0
        assert (await only_endpoint(pool)).disabled_reason == "Its owner asked for it."
        await endpoints.enable(pool, endpoint_id)
        assert await sender.run_once() == 2
    endpoint = await only_endpoint(pool)
    assert (endpoint.status, endpoint.disabled_reason, endpoint.pending) == ("active", None, 0)


async def test_an_endpoint_that_does_not_exist_is_an_error_with_a_sentence(pool: Pool) -> None:
    unknown = UUID(int=0)
    with pytest.raises(endpoints.EndpointError, match="No webhook endpoint has the id"):
        await endpoints.enable(pool, unknown)
    with pytest.raises(endpoints.EndpointError, match="No webhook endpoint has the id"):
        await endpoints.disable(pool, unknown, "whatever")
    with pytest.raises(endpoints.EndpointError, match=r"Unknown event type coupon\.eaten"):
        await endpoints.add(pool, "https://example.com/", ["coupon.eaten"])
    with pytest.raises(endpoints.EndpointError, match="No event type given"):
        await endpoints.add(pool, "https://example.com/", [])


async def test_a_secret_is_new_for_each_endpoint_and_never_listed(pool: Pool) -> None:
    secrets = {(await endpoints.add(pool, "https://example.com/")).secret for _ in range(3)}
    assert len(secrets) == 3
    assert all(secret.startswith("whsec_") for secret in secrets)
    listed = repr(await endpoints.list_all(pool))
    assert not any(secret.removeprefix("whsec_") in listed for secret in secrets)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "2130706433", "0"])
async def test_a_private_address_in_any_notation_is_never_connected_to(
    pool: Pool, receiver: Receiver, host: str
) -> None:
    await endpoints.add(pool, receiver.url(host, scheme="https"), allow_private=True)  # the setting was different then
    await enqueue(pool)
    async with sending(pool, WebhookPolicy()) as sender:
        assert await sender.run_once() == 1
    assert receiver.connections == 0
    (attempt,) = await pool.fetch("SELECT status_code, error FROM webhook_attempts")
    assert attempt["status_code"] is None
    assert "not a public address" in attempt["error"]


async def test_a_public_name_that_resolves_to_loopback_is_never_connected_to(pool: Pool, receiver: Receiver) -> None:
    async def rebound(_host: str, _port: int) -> tuple[Address, ...]:
        return (ip_address("127.0.0.1"),)

    await endpoints.add(pool, receiver.url("hooks.example", scheme="https"))
    await enqueue(pool)
    async with sending(pool, WebhookPolicy(), rebound) as sender:
        await sender.run_once()
    assert receiver.connections == 0
    assert "hooks.example resolves to 127.0.0.1" in await pool.fetchval("SELECT error FROM webhook_attempts")


async def test_plain_http_is_refused_unless_private_addresses_are_allowed(pool: Pool, receiver: Receiver) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    async with sending(pool, WebhookPolicy()) as sender:
        await sender.run_once()
    assert receiver.connections == 0
    assert "must start with https://" in await pool.fetchval("SELECT error FROM webhook_attempts")


async def test_a_name_is_resolved_once_and_that_address_is_connected_to(pool: Pool, receiver: Receiver) -> None:
    asked: list[str] = []

    async def resolver(host: str, _port: int) -> tuple[Address, ...]:
        asked.append(host)
        return (ip_address("127.0.0.1"),)

    # No resolver knows this name, so only an address from this resolver can have been connected to.
    await endpoints.add(pool, receiver.url("hooks.invalid"), allow_private=True)
    await enqueue(pool)
    async with sending(pool, LOCAL, resolver) as sender:
        await sender.run_once()
    assert asked == ["hooks.invalid"]
    (call,) = receiver.calls
    assert call.headers["host"] == f"hooks.invalid:{receiver.port}"


async def test_when_the_first_address_of_a_name_does_not_answer_the_next_is_tried(
    pool: Pool, receiver: Receiver
) -> None:
    async def resolver(_host: str, _port: int) -> tuple[Address, ...]:
        return (ip_address("::1"), ip_address("127.0.0.1"))  # the receiver listens on IPv4 only

    await endpoints.add(pool, receiver.url("hooks.invalid"), allow_private=True)
    await enqueue(pool)
    async with sending(pool, LOCAL, resolver) as sender:
        await sender.run_once()
    assert await delivery_states(pool) == {"delivered": 1}


async def test_an_endpoint_that_never_answers_times_out_and_is_retried(pool: Pool, receiver: Receiver) -> None:
    async def never(_call: Call) -> h11.Response:
        await asyncio.Event().wait()
        raise AssertionError("unreachable")

    receiver.answer = never
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool)
    async with sending(pool, replace(LOCAL, timeout_seconds=0.2)) as sender:
        await sender.run_once()
    assert await pool.fetchval("SELECT error FROM webhook_attempts") == "No response within 0.2 seconds"
    assert await delivery_states(pool) == {"pending": 1}


async def test_an_endpoint_that_refuses_connections_is_retried(pool: Pool) -> None:
    async with receiving() as gone:
        url = gone.url()
    await endpoints.add(pool, url, allow_private=True)
    await enqueue(pool)
    async with sending(pool) as sender:
        await sender.run_once()
    (attempt,) = await pool.fetch("SELECT status_code, error FROM webhook_attempts")
    assert attempt["status_code"] is None
    assert attempt["error"]
    assert await delivery_states(pool) == {"pending": 1}


async def test_one_secret_that_cannot_sign_delays_no_other_endpoint(pool: Pool, receiver: Receiver) -> None:
    broken = (await endpoints.add(pool, receiver.url(path="/broken"), allow_private=True)).endpoint_id
    await endpoints.add(pool, receiver.url(path="/sound"), allow_private=True)
    await pool.execute("UPDATE webhook_endpoints SET secret = 'whsec_' WHERE endpoint_id = $1", broken)
    await enqueue(pool)
    async with sending(pool) as sender:
        assert await sender.run_once() == 2
    assert [call.path for call in receiver.calls] == ["/sound"]
    assert await delivery_states(pool) == {"delivered": 1, "pending": 1}


async def test_a_bug_about_one_endpoint_only_fails_its_attempts(
    pool: Pool, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = await endpoints.add(pool, receiver.url(path="/bad"), allow_private=True)
    await endpoints.add(pool, receiver.url(path="/good"), allow_private=True)
    made = sender_module._headers

    def failing(delivery: deliveries.Delivery, *rest: object) -> dict[str, str]:
        if delivery.endpoint_id == bad.endpoint_id:
            raise KeyError("secret detail")
        return made(delivery, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(sender_module, "_headers", failing)
    await enqueue(pool, 3)
    async with sending(pool) as sender:
        assert await sender.run_once() == 6
    assert [call.path for call in receiver.calls] == ["/good"] * 3
    assert await delivery_states(pool) == {"delivered": 3, "pending": 3}
    errors = {row[0] for row in await pool.fetch("SELECT error FROM webhook_attempts WHERE error IS NOT NULL")}
    assert errors == {"Internal error in Couponry (KeyError); see its log for details"}


async def test_the_number_of_endpoints_is_limited(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "MAX_ENDPOINTS", 2)
    first = await endpoints.add(pool, "https://example.com/1")
    await endpoints.add(pool, "https://example.com/2")
    with pytest.raises(endpoints.EndpointError, match="already 2 endpoints"):
        await endpoints.add(pool, "https://example.com/3")
    await endpoints.remove(pool, first.endpoint_id)
    await endpoints.add(pool, "https://example.com/3")
