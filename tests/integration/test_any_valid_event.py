"""Run any event that the schemas allow, among ordinary ones, through handler, engine, outbox, the relay's encoding in
JSON and Avro, and the notifier. The ordinary events succeed, nothing raises, and no event of Couponry is a dead letter.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, Literal

import httpx
import orjson
import pytest

from schemas.catalogue import BY_TYPE
from schemas.topics import COUPONS_REDEMPTIONS
from services.issuer.handler import IssueHandler
from services.issuer.sources.coupon_api import ApiLimits, open_client
from services.issuer.sources.external import ExternalCodes
from services.notifier.handler import NotificationHandler
from services.redeemer.handler import OrderHandler
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.customer import Customer
from shared.ledger.database import Pool
from shared.ledger.engine import Engine
from shared.ledger.outbox import read_after
from shared.messaging.codec import Codec, Encoded
from shared.messaging.consumer import Poison
from shared.messaging.records import OutgoingEvent, ReceivedEvent, Record
from tests.ledger import definition, issue, ledger
from tests.schema_strategies import event_data, example_of

pytestmark = pytest.mark.postgres

EXAMPLES: Final = 30
"""Events of each type; the numbers from 0 are their seeds."""

FORMATS: Final[tuple[Literal["json", "avro"], ...]] = ("json", "avro")
CODEC: Final = Codec()


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    payload = {"deep": [[{"a": 2**63 - 1}]], "text": "字" * 1_000}
    definitions = (
        definition("save10"),
        definition("custom", discount={"kind": "custom", "payload": payload}),
        definition("welcome", issues_on=[{"event": "customer.signed_up", "to": "both"}]),
        definition("loyal", issues_on=[{"event": "reward.earned", "match": {"rule_id": "gold"}}]),
        definition("字" * 255, code={"pattern": "LONG-########"}),
    )
    async with ledger(database_url, *definitions) as opened:
        yield opened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(ApiLimits(), 2) as opened:
        yield opened


class Door:
    """Read events like the consumer, each with its own id."""

    def __init__(self) -> None:
        self._sent = 0

    def read(self, type_name: str, data: dict[str, Any]) -> ReceivedEvent:
        self._sent += 1
        attributes = {"ce_specversion": "1.0", "ce_id": f"e{self._sent}", "ce_source": "/shop", "ce_type": type_name}
        headers = tuple((name, value.encode()) for name, value in attributes.items())
        return CODEC.decode(Record(BY_TYPE[type_name].topic.name, 0, 0, 0, None, orjson.dumps(data), headers))


def good_order(order_id: str, code: str) -> dict[str, Any]:
    return {
        "order_id": order_id, "placed_at": "2026-03-01T12:00:00Z", "currency": "USD", "amount": "125.00",
        "coupon_codes": [code],
    }  # fmt: skip


def orders(number: int, code: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return a random order, with a valid coupon in every second one, and later events of it."""
    placed: dict[str, Any] = example_of(event_data("order.placed"), number)
    if number % 2:
        lines = placed.get("lines")
        for line in lines or ():
            line |= {"unit_price": "1.00", "quantity": 1}
        placed |= {"coupon_codes": [code], "currency": "USD", "amount": "125.00", "shipping_amount": None}
        placed |= {"lock_reference": None, "channel": None, "validation_code": None}
    yield "order.placed", placed
    for type_name in ("order.paid", "order.returned", "order.cancelled", "order.paid"):
        yield type_name, example_of(event_data(type_name), number) | {"order_id": placed["order_id"]}


def blamed(poison: Sequence[Poison], innocent: Sequence[ReceivedEvent]) -> list[str]:
    return [f"{one.error_class}: {one.text}" for one in poison if one.event in innocent]


@pytest.mark.parametrize("burn_on", ["placed", "paid"])
async def test_any_valid_order_event_leaves_other_events_alone(pool: Pool, burn_on: str) -> None:
    engine, door = Engine(pool), Door()
    settings = RedeemerSettings(
        kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", burn_on=burn_on,
        note_orders="always",
    )  # fmt: skip
    handler = OrderHandler(pool, engine, settings)
    codes = [*await issue(engine, "save10", EXAMPLES), *await issue(engine, "custom", EXAMPLES)]
    codes += await issue(engine, "字" * 255, EXAMPLES, Customer("holder"))
    for number in range(EXAMPLES):
        ordinary = [
            door.read("order.placed", good_order(f"good {number}", codes[number])),
            door.read("order.paid", {"order_id": f"good {number}", "paid_at": "2026-03-01T12:00:01Z"}),
        ]
        unusual = [door.read(*one) for one in orders(number, codes[(1 + number % 2) * EXAMPLES + number])]
        batch = [ordinary[0], unusual[0], ordinary[1], *unusual[1:]]
        assert not blamed(await handler.handle(batch), ordinary)
        assert not blamed(await handler.handle(batch), ordinary), "replayed"
    good = "SELECT count(*) FROM ledger_entries WHERE kind = 'burned' AND order_id LIKE 'good %'"
    assert await pool.fetchval(good) == EXAMPLES
    odd = """
        SELECT count(DISTINCT order_id) FROM ledger_entries
        WHERE kind IN ('burned', 'locked') AND order_id NOT LIKE 'good %'
    """
    assert await pool.fetchval(odd) >= EXAMPLES // 5, "too few random orders reached a redemption"
    await goes_out_and_is_notified(pool, at_least=EXAMPLES)


async def test_any_valid_reward_or_sign_up_leaves_other_events_alone(pool: Pool, client: httpx.AsyncClient) -> None:
    engine, door = Engine(pool), Door()
    limits = ApiLimits(attempts=1, try_seconds=5, total_seconds=10)
    handler = IssueHandler(pool, engine, ExternalCodes(pool, client, limits, concurrency=2, batch_seconds=10))
    for number in range(EXAMPLES):
        reward = {
            "reward_id": f"good {number}", "rule_id": "gold", "customer": {"customer_id": f"good {number}"},
            "earned_at": "2026-03-01T12:00:00Z",
        }  # fmt: skip
        ordinary = [door.read("reward.earned", reward)]
        unusual = [
            door.read(type_name, example_of(event_data(type_name), number))
            for type_name in ("reward.earned", "customer.signed_up")
        ]
        unusual.append(door.read("reward.earned", unusual[0].data.model_dump(mode="json") | {"rule_id": "gold"}))
        assert not blamed(await handler.handle([*unusual, *ordinary]), ordinary)
    issued = "SELECT count(*) FROM coupons WHERE campaign_id = 'loyal' AND occasion LIKE 'reward good %'"
    assert await pool.fetchval(issued) == EXAMPLES
    refused = "SELECT count(*) FROM outbox WHERE type = 'coupon.issue_refused' AND data->>'campaign_id' IS NULL"
    assert await pool.fetchval(refused) > 0, "no reward that matches nothing"
    await goes_out_and_is_notified(pool, at_least=0)


async def goes_out_and_is_notified(pool: Pool, *, at_least: int) -> None:
    """Encode the outbox like the relay, in both formats, and let the notifier read it, including its own events."""
    notifier, position, notified = NotificationHandler(pool), 0, 0
    while rows := await _rows_after(pool, position):
        position, batch = rows[-1][0], []
        for _, event in rows:
            for event_format in FORMATS:
                codec = Codec(event_format=event_format)
                received = codec.decode(_record(event.topic, codec.encode(event)))
                assert received.data == BY_TYPE[event.type].model.model_validate_json(event.data_json)
                if event.topic == COUPONS_REDEMPTIONS.name:
                    batch.append(received)
                notified += event.type == "coupon.redemption_notified" and event_format == "json"
        assert list(await notifier.handle(batch)) == []
    assert notified >= at_least


async def _rows_after(pool: Pool, position: int) -> list[tuple[int, OutgoingEvent]]:
    async with pool.acquire() as connection:
        rows = await read_after(connection, position, 100)
    return [
        (
            number,
            OutgoingEvent(
                id=str(row.event_id),
                source=row.source,
                type=row.type,
                subject=row.subject,
                time=row.time,
                topic=row.topic,
                key=row.key,
                traceparent=row.traceparent,
                data_json=row.data.encode(),
            ),
        )
        for number, row in rows
    ]


def _record(topic: str, encoded: Encoded) -> Record:
    key, value, headers = encoded
    assert len(key) + len(value) + sum(len(name) + len(text) for name, text in headers) < 1_000_000
    return Record(topic, 0, 0, 0, key, value, tuple(headers))
