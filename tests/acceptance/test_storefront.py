"""Lock a coupon over HTTP and burn it with the order's event, through the native API and Gameball's."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from cli.processes import free_port
from services.gateway.access import keys
from services.gateway.access.callers import SCOPES
from shared.ledger.audit import audit
from shared.ledger.database import open_pool
from shared.messaging.topics_admin import create_topics
from tests.integration.kafka_tools import read_all, write_all
from tests.integration.service_process import eventually, kafka_settings, running

pytestmark = [pytest.mark.postgres, pytest.mark.broker]

CAMPAIGN = {
    "campaign_id": "welcome",
    "discount": {"kind": "percentage", "value": "10"},
    "limits": {"uses_per_coupon": 1},
    "issues_on": [{"event": "reward.earned", "match": {"rule_id": "42"}}],
}
GAMEBALL = "/gameball/api/v4.0/integrations"


def order_event(order_id: str, reference: str) -> bytes:
    """Return an order as an order system publishes it: it names the lock and no code."""
    data = {
        "order_id": order_id,
        "customer": {"customer_id": "customer_123"},
        "placed_at": "2026-11-22T09:30:00Z",
        "currency": "USD",
        "amount": "125.00",
        "lock_reference": reference,
    }
    envelope = {"specversion": "1.0", "id": f"placed {order_id}", "source": "/shop", "type": "order.placed"}
    return json.dumps({**envelope, "data": data}).encode()


class Stack:
    """All services on this test's database and topics, called over HTTP."""

    def __init__(self, client: httpx.AsyncClient, environment: dict[str, str], key: str) -> None:
        self.client = client
        self.kafka = kafka_settings(environment)
        self.key = key

    async def post(self, path: str, body: dict[str, Any], **headers: str) -> dict[str, Any]:
        answer = await self.client.post(path, json=body, headers=headers)
        assert answer.status_code in {200, 201}, answer.text
        document: dict[str, Any] = answer.json()
        return document

    async def place(self, order_id: str, reference: str) -> None:
        topic = self.kafka.topic("orders")
        await write_all(self.kafka, [(topic, order_id.encode(), order_event(order_id, reference), None)])

    async def burned(self, code: str) -> dict[str, Any]:
        """Wait until the order's event has used the coupon, and return it."""

        async def look() -> dict[str, Any]:
            coupon: dict[str, Any] = (await self.client.get(f"/v1/coupons/{code}")).json()
            return coupon

        return await eventually(look, lambda seen: seen["used_uses"] == 1)

    async def notified(self, order_id: str) -> list[dict[str, Any]]:
        """Wait for the notification of an order, and return it as a list."""
        topic = self.kafka.topic("coupons.redemption-notifications")

        async def look() -> list[dict[str, Any]]:
            read = [json.loads(record.value) for record in await read_all(self.kafka, topic)]
            return [data for data in read if data["order_id"] == order_id]

        return await eventually(look, lambda seen: len(seen) == 1)


@pytest.fixture
async def stack(environment: dict[str, str]) -> AsyncIterator[Stack]:
    await create_topics(kafka_settings(environment))
    pool = await open_pool(environment["COUPONRY_DATABASE_URL"], max_size=1)
    key = (await keys.create(pool, "a test's", SCOPES)).key
    port = free_port()
    async with AsyncExitStack() as processes:
        started = [
            await processes.enter_async_context(running(name, environment, **settings))
            for name, settings in (
                ("gateway", {"http_port": port}), ("redeemer", {}), ("relay", {}), ("notifier", {}),
            )
        ]  # fmt: skip
        await asyncio.gather(*[process.ready() for process in started])
        client = httpx.AsyncClient(
            base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, trust_env=False
        )
        async with client:
            yield Stack(client, environment, key)
    assert (await audit(pool)).findings == ()
    await pool.close()


@pytest.mark.timeout(240)
async def test_a_lock_made_over_http_is_burned_by_the_order_event_and_one_coupon_is_notified(stack: Stack) -> None:
    await stack.post("/v1/campaigns", CAMPAIGN)
    customer, order = {"customer_id": "customer_123"}, {"order_id": "ORD456", "currency": "USD", "amount": "125.00"}
    issued = await stack.post("/v1/coupons", {"campaign_id": "welcome", "customer": customer})
    code = issued["coupons"][0]["code"]
    judged = await stack.post("/v1/validate", {"codes": [code], "customer": customer, "order": order})
    assert (judged["valid"], judged["discount_amount"]) == (True, "12.50")
    locked = await stack.post("/v1/locks", {"codes": [code], "customer": customer, "order": order})
    await stack.place("ORD456", locked["lock_reference"])
    await stack.burned(code)
    [notification] = await stack.notified("ORD456")
    assert (notification["coupon"]["code"], notification["coupon"]["discount_amount"]) == (code, "12.50")

    # The same steps through another vendor's API, on the same campaign and the same list of redemptions.
    by_key = {"SecretKey": stack.key, "APIKey": "public"}
    generated = await stack.post(
        f"{GAMEBALL}/coupons/predefined", {"customerId": "customer_123", "ruleId": 42}, **by_key
    )
    code = generated["code"]
    checked = {"customerId": "customer_123", "lock": True}
    held = await stack.post(f"{GAMEBALL}/coupons/{code}/validate", checked, **by_key)
    assert held["isValid"] is True
    await stack.place("ORD457", held["lockReference"])
    await stack.burned(code)
    [notification] = await stack.notified("ORD457")
    assert notification["coupon"]["code"] == code
    listed = (await stack.client.get("/v1/redemptions")).json()["items"]
    assert [(item["order_id"], item["outcome"]) for item in listed] == [("ORD457", "redeemed"), ("ORD456", "redeemed")]
