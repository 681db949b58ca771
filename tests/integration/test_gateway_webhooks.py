"""Webhooks over HTTP: endpoints, rotation of secrets, the log of deliveries, and redelivery."""

from typing import Any

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from tests.gateway import Served, served
from tests.integration.test_webhooks import enqueue, sending
from tests.integration.webhook_receiver import Receiver, receiving, status

pytestmark = pytest.mark.asyncio


async def added(here: Served, receiver: Receiver, *types: str) -> tuple[str, str]:
    """Add an endpoint. Return its id and secret."""
    body: dict[str, Any] = {"url": receiver.url()} | ({"event_types": list(types)} if types else {})
    answer = await here.client.post("/v1/webhooks", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()["endpoint_id"], answer.json()["secret"]


async def send(here: Served) -> None:
    """Send all due deliveries."""
    async with sending(here.pool) as sender:
        while await sender.run_once():
            pass


async def test_a_test_event_reaches_one_endpoint_and_is_in_its_log(database_url: str) -> None:
    async with served(database_url, webhooks_allow_private=True) as here, receiving() as receiver:
        endpoint, secret = await added(here, receiver)
        other, _ = await added(here, receiver)
        sent = await here.client.post(f"/v1/webhooks/{endpoint}/test")
        assert sent.json()["redelivered"] == 1
        await send(here)
        [call] = receiver.calls
        assert Webhook(secret).verify(call.body, call.headers)["type"] == "webhook.test"
        [one] = (await here.client.get(f"/v1/webhooks/{endpoint}/deliveries")).json()["items"]
        assert (one["delivery_id"], one["status"]) == (sent.json()["delivery_id"], "delivered")
        assert [(tried["attempt"], tried["status_code"]) for tried in one["attempts"]] == [(1, 200)]
        assert (await here.client.get(f"/v1/webhooks/{other}/deliveries")).json()["items"] == []


async def test_after_a_rotation_both_secrets_sign_for_a_while(database_url: str) -> None:
    async with served(database_url, webhooks_allow_private=True) as here, receiving() as receiver:
        endpoint, old = await added(here, receiver)
        new = (await here.client.post(f"/v1/webhooks/{endpoint}/rotate")).json()["secret"]
        assert new != old
        await enqueue(here.pool)
        await send(here)
        for secret in (old, new):
            assert Webhook(secret).verify(receiver.calls[0].body, receiver.calls[0].headers)
        newest = await here.client.post(f"/v1/webhooks/{endpoint}/rotate", json={"overlap_seconds": 0})
        await enqueue(here.pool)
        await send(here)
        assert Webhook(newest.json()["secret"]).verify(receiver.calls[1].body, receiver.calls[1].headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(new).verify(receiver.calls[1].body, receiver.calls[1].headers)


async def test_delivered_and_failed_events_can_be_sent_again(database_url: str) -> None:
    async with served(database_url, webhooks_allow_private=True) as here, receiving() as receiver:
        endpoint, _ = await added(here, receiver)
        await enqueue(here.pool)
        await send(here)
        [one] = (await here.client.get(f"/v1/webhooks/{endpoint}/deliveries")).json()["items"]
        path = f"/v1/webhooks/{endpoint}/deliveries/{one['delivery_id']}/redeliver"
        assert (await here.client.post(path)).json()["redelivered"] == 1
        await send(here)
        assert [call.webhook_id for call in receiver.calls] == [one["event_id"]] * 2
        receiver.answer = status(500)
        await enqueue(here.pool)
        await here.pool.execute("UPDATE webhook_deliveries SET status = 'failed' WHERE status = 'pending'")
        body = {"since": "2020-01-01T00:00:00Z"}
        again = await here.client.post(f"/v1/webhooks/{endpoint}/redeliver", json=body)
        assert again.json()["redelivered"] == 1
        receiver.answer = status(200)
        await send(here)
        assert len(receiver.calls) == 3
        later = await here.client.post(f"/v1/webhooks/{endpoint}/redeliver", json={"since": "2100-01-01T00:00:00Z"})
        assert later.json()["redelivered"] == 0
        assert (await here.client.post(path.replace(str(one["delivery_id"]), "999999"))).status_code == 404


async def test_an_endpoint_is_changed_disabled_enabled_and_removed(database_url: str) -> None:
    async with served(database_url, webhooks_allow_private=True) as here, receiving() as receiver:
        endpoint, _ = await added(here, receiver, "coupon.redeemed")
        path = f"/v1/webhooks/{endpoint}"
        changed = await here.client.put(path, json={"url": receiver.url(path="/new"), "event_types": ["*"]})
        assert (changed.json()["url"], changed.json()["event_types"]) == (receiver.url(path="/new"), ["*"])
        disabled = await here.client.post(f"{path}/disable", json={"reason": "moving house"})
        assert (disabled.json()["status"], disabled.json()["disabled_reason"]) == ("disabled", "moving house")
        assert (await here.client.post(f"{path}/test")).status_code == 409
        assert (await here.client.post(f"{path}/enable")).json()["status"] == "active"
        assert len((await here.client.get("/v1/webhooks")).json()["items"]) == 1
        assert (await here.client.delete(path)).status_code == 200
        assert (await here.client.get("/v1/webhooks")).json()["items"] == []
        for method, place in (("GET", ""), ("DELETE", ""), ("POST", "/enable"), ("POST", "/rotate"), ("POST", "/test")):
            assert (await here.client.request(method, path + place)).status_code == 404
        await enqueue(here.pool)
        assert await here.pool.fetchval("SELECT count(*) FROM webhook_deliveries") == 0


async def test_deliveries_are_listed_in_pages(database_url: str) -> None:
    async with served(database_url, webhooks_allow_private=True) as here, receiving() as receiver:
        endpoint, _ = await added(here, receiver)
        events = await enqueue(here.pool, 5)
        seen: list[str] = []
        cursor = None
        while True:
            query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
            document = (await here.client.get(f"/v1/webhooks/{endpoint}/deliveries", params=query)).json()
            seen += [one["event_id"] for one in document["items"]]
            if (cursor := document["next_cursor"]) is None:
                break
        assert seen == events[::-1]
        failed = await here.client.get(f"/v1/webhooks/{endpoint}/deliveries", params={"status": "failed"})
        assert failed.json()["items"] == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "ftp://example.com"},
        {"url": "http://127.0.0.1/x"},
        {"url": "https://10.0.0.1/x"},
        {"url": "https://user:secret@example.com"},
        {"url": "https://example.com", "event_types": []},
        {"url": "https://example.com", "event_types": ["coupon.eaten"]},
    ],
)
async def test_an_invalid_endpoint_is_refused(database_url: str, body: dict[str, Any]) -> None:
    async with served(database_url) as here:
        answer = await here.client.post("/v1/webhooks", json=body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
