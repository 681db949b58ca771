"""The notifier as a process, between a real broker, a real PostgreSQL and a real HTTP receiver."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from typing import Any

import pytest
from standardwebhooks import Webhook

from services.notifier.settings import NotifierSettings
from shared.ledger import outbox
from shared.ledger.database import Pool, open_pool
from shared.messaging.topics_admin import create_topics
from shared.webhooks import endpoints
from tests.integration.kafka_tools import read_all, write_all
from tests.integration.test_notifier import redeemed_data
from tests.integration.webhook_receiver import Receiver, receiving

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

LONGEST_SECONDS = 90


def structured(event_id: str, data: dict[str, Any]) -> bytes:
    """Return a `coupon.redeemed` as one JSON document."""
    attributes = {"specversion": "1.0", "id": event_id, "source": "/couponry/redeemer", "type": "coupon.redeemed"}
    return json.dumps({**attributes, "time": "2026-11-22T09:30:00Z", "data": data}).encode()


async def test_a_notifier_process_notifies_delivers_writes_dead_letters_and_stops_when_asked(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**environment, "COUPONRY_WEBHOOKS_ALLOW_PRIVATE": "true"}.items():
        monkeypatch.setenv(name, value)
    settings = NotifierSettings()
    await create_topics(settings)
    topic = settings.topic("coupons.redemptions")
    single = structured("0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a10", redeemed_data("ORD1", "A"))
    several = structured("0199f6a2-5c1e-7b43-9a51-3d0c8f6b2a11", redeemed_data("ORD2", "A", "B"))
    pool = await open_pool(environment["COUPONRY_DATABASE_URL"], application_name="notifier process test")
    async with receiving() as receiver:
        endpoint = await endpoints.add(pool, receiver.url(), allow_private=True)
        await write_all(settings, [(topic, b"ORD", value, 0) for value in (single, b"{not JSON", several, single)])
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "services.notifier", env=os.environ)
        try:
            await asyncio.wait_for(_until_delivered(pool, receiver, process, 3), LONGEST_SECONDS)
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), LONGEST_SECONDS) == 0
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        async with pool.acquire() as connection:
            rows = [row for _, row in await outbox.read_after(connection, 0, 100)]
        await pool.close()
    assert [(row.type, row.key) for row in rows] == [("coupon.redemption_notified", "ORD1")]
    assert len(await read_all(settings, f"{topic}.notifier.dlq")) == 1
    received = [Webhook(endpoint.secret).verify(call.body, call.headers) for call in receiver.calls]
    assert Counter((event["type"], event["data"]["order_id"]) for event in received) == {
        ("coupon.redeemed", "ORD1"): 1,
        ("coupon.redeemed", "ORD2"): 1,
        ("coupon.redemption_notified", "ORD1"): 1,
    }


async def _until_delivered(pool: Pool, receiver: Receiver, process: asyncio.subprocess.Process, count: int) -> None:
    delivered = 0
    while delivered < count:
        assert process.returncode is None, f"the notifier left with {process.returncode}"
        await asyncio.sleep(0.05)
        delivered = await pool.fetchval("SELECT count(*) FROM webhook_deliveries WHERE status = 'delivered'")
    assert len(receiver.calls) >= count
