"""Several senders, slow endpoints and dying processes, on a real PostgreSQL and a real HTTP server."""

import asyncio
import contextlib
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from uuid import UUID, uuid4

import asyncpg
import h11
import pytest

from services.notifier.webhooks import deliveries
from services.notifier.webhooks.deliveries import Capacity, Message, Outcome
from services.notifier.webhooks.lanes import LANES
from services.notifier.webhooks.policy import WebhookPolicy
from services.notifier.webhooks.sender import Sender, open_client
from shared.ledger.database import UNAVAILABLE, Pool, open_pool
from shared.webhooks import endpoints
from tests.integration.webhook_receiver import LOCAL, Call, Receiver, receiving, status

pytestmark = pytest.mark.postgres

LONGEST_SECONDS = 60
"""No test waits this long unless something is broken."""


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    opened = await open_pool(database_url, max_size=8, application_name="webhook tests")
    yield opened
    await opened.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as one:
        yield one


async def enqueue(pool: Pool, count: int) -> list[str]:
    messages = [Message(uuid4(), "coupon.redeemed", '{"data":{}}') for _ in range(count)]
    async with pool.acquire() as connection, connection.transaction():
        await deliveries.enqueue(connection, messages)
    return [str(message.event_id) for message in messages]


def capacity(calls: int, busy: dict[UUID, int] | None = None) -> Capacity:
    """Return a capacity of `calls` for any endpoints."""
    return Capacity(calls, calls, busy or {})


async def test_two_senders_never_take_the_same_delivery(pool: Pool, receiver: Receiver) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    event_ids = await enqueue(pool, 150)

    async def send_all() -> int:
        async with open_client(LOCAL) as client:
            sender = Sender(pool, client, LOCAL)
            sent = 0
            while taken := await sender.run_once():
                sent += taken
            return sent

    sent = await asyncio.gather(*(send_all() for _ in range(4)))
    assert sum(sent) == 150
    assert Counter(call.webhook_id for call in receiver.calls) == dict.fromkeys(event_ids, 1)


async def test_a_delivery_that_another_process_is_taking_is_left_to_it_without_waiting(
    pool: Pool, receiver: Receiver
) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    event_ids = await enqueue(pool, 5)
    async with pool.acquire() as other, other.transaction():
        held = await other.fetch(
            "SELECT event_id::text FROM webhook_deliveries ORDER BY delivery_id LIMIT 2 FOR UPDATE"
        )
        taken = await asyncio.wait_for(deliveries.claim(pool, LOCAL, capacity(100)), LONGEST_SECONDS)
    assert {delivery.event_id for delivery in taken} == set(event_ids) - {record[0] for record in held}
    assert {delivery.event_id for delivery in await deliveries.claim(pool, LOCAL, capacity(100))} == {
        record[0] for record in held
    }


async def test_a_taken_delivery_is_not_due_before_its_lease_expires(pool: Pool, receiver: Receiver) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool, 1)
    assert len(await deliveries.claim(pool, LOCAL, capacity(100))) == 1
    assert await deliveries.claim(pool, LOCAL, capacity(100)) == []
    await pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now()")
    (again,) = await deliveries.claim(pool, LOCAL, capacity(100))
    assert again.attempt == 2


async def test_one_endpoint_gets_no_more_calls_at_a_time_than_its_share(pool: Pool, receiver: Receiver) -> None:
    policy = replace(LOCAL, endpoint_concurrency=3)
    busy = (await endpoints.add(pool, receiver.url(), allow_private=True)).endpoint_id
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool, 10)
    taken = await deliveries.claim(pool, policy, capacity(100, {busy: 2}))
    assert Counter(delivery.endpoint_id == busy for delivery in taken) == {True: 1, False: 3}
    assert len(await deliveries.claim(pool, policy, capacity(2))) == 2


SENDER_PROCESS = """
import asyncio, sys
from services.notifier.webhooks.policy import WebhookPolicy
from services.notifier.webhooks.sender import Sender, open_client
from shared.ledger.database import open_pool

async def main():
    policy = WebhookPolicy(allow_private=True)
    pool = await open_pool(sys.argv[1], application_name="sender that dies")
    async with open_client(policy) as client:
        await Sender(pool, client, policy).run_once()

asyncio.run(main())
"""


async def test_a_sender_killed_between_call_and_record_costs_another_attempt_with_the_same_id(
    pool: Pool, receiver: Receiver, database_url: str
) -> None:
    await endpoints.add(pool, receiver.url(), allow_private=True)
    (event_id,) = await enqueue(pool, 1)
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER_PROCESS, database_url)

    async def kill_then_answer(_call: Call) -> h11.Response:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        return h11.Response(status_code=200, headers=[("content-length", "0")])

    receiver.answer = kill_then_answer
    assert await asyncio.wait_for(process.wait(), LONGEST_SECONDS) == -signal.SIGKILL
    assert await pool.fetchval("SELECT count(*) FROM webhook_attempts") == 0

    receiver.answer = status(200)
    await pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now()")  # as if the lease were over
    async with open_client(LOCAL) as client:
        assert await Sender(pool, client, LOCAL).run_once() == 1
    assert [call.webhook_id for call in receiver.calls] == [event_id, event_id]
    assert [record[0] for record in await pool.fetch("SELECT attempt FROM webhook_attempts")] == [2]
    assert await pool.fetchval("SELECT status FROM webhook_deliveries") == "delivered"


async def test_a_delivery_whose_every_attempt_was_lost_fails_without_another_call(
    pool: Pool, receiver: Receiver
) -> None:
    policy = replace(LOCAL, attempts_max=2)
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool, 1)
    for _ in range(2):
        assert len(await deliveries.claim(pool, policy, capacity(1))) == 1  # and the process dies
        await pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now()")
    async with open_client(policy) as client:
        assert await Sender(pool, client, policy).run_once() == 1
    assert receiver.calls == []
    assert await pool.fetchval("SELECT status FROM webhook_deliveries") == "failed"


@pytest.mark.parametrize(
    ("later", "earlier", "left"),
    [
        pytest.param(Outcome(200), Outcome(500, "HTTP 500"), "delivered", id="a late failure undoes no delivery"),
        pytest.param(Outcome(500, "HTTP 500"), Outcome(200), "delivered", id="a late delivery counts"),
        pytest.param(Outcome(500, "HTTP 500"), Outcome(410, "HTTP 410"), "pending", id="a late failure is only noted"),
    ],
)
async def test_a_sender_whose_lease_expired_can_only_record_a_success(
    pool: Pool, later: Outcome, earlier: Outcome, left: str
) -> None:
    await endpoints.add(pool, "https://example.com/")
    await enqueue(pool, 1)
    (first,) = await deliveries.claim(pool, LOCAL, capacity(1))
    await pool.execute("UPDATE webhook_deliveries SET next_attempt_at = now()")
    (second,) = await deliveries.claim(pool, LOCAL, capacity(1))
    await deliveries.record(pool, LOCAL, second, later)
    await deliveries.record(pool, LOCAL, first, earlier)
    assert await pool.fetchval("SELECT status FROM webhook_deliveries") == left
    assert await pool.fetchval("SELECT count(*) FROM webhook_attempts") == 2
    assert await pool.fetchval("SELECT status FROM webhook_endpoints") == "active"


async def test_a_slow_endpoint_delays_only_itself(pool: Pool, receiver: Receiver) -> None:
    release = asyncio.Event()
    quick_done = asyncio.Event()

    async def slow(call: Call) -> h11.Response:
        if call.path == "/slow":
            await release.wait()
        elif sum(one.path == "/quick" for one in receiver.calls) == 40:
            quick_done.set()
        return h11.Response(status_code=200, headers=[("content-length", "0")])

    receiver.answer = slow
    policy = WebhookPolicy(allow_private=True, concurrency=6, endpoint_concurrency=4, poll_seconds=0.05)
    await endpoints.add(pool, receiver.url(path="/slow"), allow_private=True)
    await endpoints.add(pool, receiver.url(path="/quick"), allow_private=True)
    await enqueue(pool, 40)
    stop = asyncio.Event()
    async with open_client(policy) as client:
        running = asyncio.create_task(Sender(pool, client, policy).run(stop))
        # All of the quick endpoint's events arrive before any call of the slow one has returned.
        await asyncio.wait_for(quick_done.wait(), LONGEST_SECONDS)
        assert sum(call.path == "/slow" for call in receiver.calls) <= 4
        stop.set()
        release.set()
        await asyncio.wait_for(running, LONGEST_SECONDS)
    assert receiver.most_at_a_time <= 6
    states = await pool.fetch(
        "SELECT delivery.status, attempts FROM webhook_deliveries AS delivery"
        " JOIN webhook_endpoints USING (endpoint_id) WHERE url LIKE '%/quick'"
    )
    assert Counter((record["status"], record["attempts"]) for record in states) == {("delivered", 1): 40}


@pytest.mark.parametrize("hanging", [4, 12, 30])
async def test_any_number_of_hanging_endpoints_delays_no_other(pool: Pool, receiver: Receiver, hanging: int) -> None:
    """Every call to the hanging endpoints lasts until the test ends it; all events of the quick one arrive first."""
    release, quick_done = asyncio.Event(), asyncio.Event()
    quick: list[str] = []

    async def answer(call: Call) -> h11.Response:
        if call.path != "/quick":
            await release.wait()
        else:
            quick.append(call.webhook_id)
            if len(quick) == 60:
                quick_done.set()
        return h11.Response(status_code=200, headers=[("content-length", "0")])

    receiver.answer = answer
    # In proportion to production: four such endpoints would have taken every call, and twelve do not.
    policy = WebhookPolicy(
        allow_private=True, concurrency=8, endpoint_concurrency=4, poll_seconds=0.05, slow_seconds=0.2,
        timeout_seconds=LONGEST_SECONDS,
    )  # fmt: skip
    for number in range(hanging):
        await endpoints.add(pool, receiver.url(path=f"/hangs/{number}"), allow_private=True)
    stop = asyncio.Event()
    async with open_client(policy) as client:
        running = asyncio.create_task(Sender(pool, client, policy).run(stop))
        await enqueue(pool, 20)  # the hanging ones take all the calls they can get
        await calls_arrived(receiver, 8)
        await endpoints.add(pool, receiver.url(path="/quick"), allow_private=True)
        await enqueue(pool, 60)
        await asyncio.wait_for(quick_done.wait(), LONGEST_SECONDS)
        assert len(quick) == len(set(quick)) == 60
        stop.set()
        release.set()
        await asyncio.wait_for(running, LONGEST_SECONDS)
    assert receiver.most_at_a_time <= LANES * policy.concurrency


async def calls_arrived(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(LONGEST_SECONDS):
        while len(receiver.calls) < count:
            await asyncio.sleep(0.01)


async def test_an_endpoint_without_a_call_comes_before_further_calls_to_others(pool: Pool, receiver: Receiver) -> None:
    busy = (await endpoints.add(pool, receiver.url(), allow_private=True)).endpoint_id
    await enqueue(pool, 10)
    idle = (await endpoints.add(pool, receiver.url(), allow_private=True)).endpoint_id
    await enqueue(pool, 1)
    taken = await deliveries.claim(pool, LOCAL, Capacity(4, 2, {busy: 3}))
    assert Counter(delivery.endpoint_id for delivery in taken) == {idle: 1, busy: 2}


async def test_each_lane_takes_only_deliveries_of_its_own_endpoints(pool: Pool, receiver: Receiver) -> None:
    slow = (await endpoints.add(pool, receiver.url(), allow_private=True)).endpoint_id
    quick = (await endpoints.add(pool, receiver.url(), allow_private=True)).endpoint_id
    await enqueue(pool, 3)
    for lane, expected in ((True, slow), (False, quick)):
        taken = await deliveries.claim(pool, LOCAL, Capacity(10, 10, {}, slow=lane, slow_endpoints=(slow,)))
        assert [delivery.endpoint_id for delivery in taken] == [expected] * 3


async def test_a_sender_asked_to_stop_finishes_and_records_its_running_calls(pool: Pool, receiver: Receiver) -> None:
    arrived = asyncio.Event()
    release = asyncio.Event()

    async def held(_call: Call) -> h11.Response:
        arrived.set()
        await release.wait()
        return h11.Response(status_code=200, headers=[("content-length", "0")])

    receiver.answer = held
    await endpoints.add(pool, receiver.url(), allow_private=True)
    await enqueue(pool, 1)
    stop = asyncio.Event()
    async with open_client(LOCAL) as client:
        running = asyncio.create_task(Sender(pool, client, LOCAL).run(stop))
        await asyncio.wait_for(arrived.wait(), LONGEST_SECONDS)
        stop.set()
        await enqueue(pool, 1)  # too late for this sender
        release.set()
        await asyncio.wait_for(running, LONGEST_SECONDS)
    states = await pool.fetch("SELECT status FROM webhook_deliveries ORDER BY delivery_id")
    assert [record[0] for record in states] == ["delivered", "pending"]


async def test_a_sender_whose_connections_are_cut_continues(pool: Pool, receiver: Receiver, database_url: str) -> None:
    arrived = asyncio.Event()

    async def note(_call: Call) -> h11.Response:
        arrived.set()
        return h11.Response(status_code=200, headers=[("content-length", "0")])

    receiver.answer = note
    policy = WebhookPolicy(allow_private=True, poll_seconds=0.05)
    await endpoints.add(pool, receiver.url(), allow_private=True)
    stop = asyncio.Event()
    async with open_client(policy) as client:
        running = asyncio.create_task(Sender(pool, client, policy).run(stop))
        operator = await asyncpg.connect(database_url)
        cut = await operator.fetchval(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE application_name = 'webhook tests' AND datname = current_database()"
        )
        await operator.close()
        assert cut > 0
        with contextlib.suppress(*UNAVAILABLE):
            await pool.fetchval("SELECT 1")  # the pool may return a connection that it does not know to be cut
        await enqueue(pool, 1)
        await asyncio.wait_for(arrived.wait(), LONGEST_SECONDS)
        stop.set()
        await asyncio.wait_for(running, LONGEST_SECONDS)
    assert await pool.fetchval("SELECT status FROM webhook_deliveries") == "delivered"
