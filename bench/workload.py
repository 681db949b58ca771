"""The workload of every contender: distinct single-use coupons, one per order, and orders of three lines."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics
from schemas.campaigns import CampaignDefinition
from shared.domain.model.ids import derived_id
from shared.ledger.campaigns import save
from shared.ledger.database import open_pool

CAMPAIGN_ID = "bench"
CUSTOMERS = 5_000
"""Customers with three identifiers each, stored before the measurement together with their coupons."""

READY_ORDERS = 200
"""Sent first and waited for, so that start-up, caches and prepared statements are not measured."""


def code(number: int) -> str:
    return f"BENCH-{number:09d}"


def coupon_id(number: int) -> str:
    return derived_id("bench coupon", str(number))


def customer_key(number: int) -> str:
    return derived_id("bench customer", str(number % CUSTOMERS))


def order_body(number: int) -> bytes:
    """Return an order of three lines that names one coupon."""
    customer = number % CUSTOMERS
    return orjson.dumps(
        {
            "order_id": f"ORD-{number:09d}",
            "customer": {
                "customer_id": f"customer_{customer}",
                "email": f"customer.{customer}@example.com",
                "mobile": f"+4930{customer:07d}",
            },
            "placed_at": datetime.now(UTC).isoformat(),
            "currency": "USD",
            "amount": "150.00",
            "shipping_amount": "5.00",
            "lines": [
                {
                    "line_id": str(line),
                    "product_id": str(510000 + (number + line) % 997),
                    "variant_id": None,
                    "collection_ids": ["summer"],
                    "quantity": 2,
                    "unit_price": "25.00",
                }
                for line in (1, 2, 3)
            ],
            "coupon_codes": [code(number)],
            "lock_reference": None,
            "atomic": False,
        }
    )


def campaign() -> CampaignDefinition:
    """Return a campaign with ten percent off, one use per coupon, and no limit with a shared counter."""
    return CampaignDefinition.model_validate_json(
        orjson.dumps(
            {
                "campaign_id": CAMPAIGN_ID,
                "name": "Ten percent off",
                "discount": {"kind": "percentage", "value": "10", "currency": None, "max_discount": "50.00"},
                "code": {"pattern": "BENCH-############"},
                "limits": {"uses_per_coupon": 1},
                "window": {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2038-06-01T00:00:00Z"},
                "eligibility": {"min_order_amount": "100.00", "currency": "USD"},
                "stacking": {"policy": "combinable"},
                "restore_on": ["order.cancelled"],
            }
        )
    )


async def seed(database_url: str, coupons: int) -> None:
    """Insert the campaign, the customers and `coupons` issued coupons with their ledger entries."""
    pool = await open_pool(database_url, role=None)
    async with pool, pool.acquire() as connection:
        await save(pool, [campaign()])
        now = datetime.now(UTC)
        await connection.copy_records_to_table(
            "customers",
            records=[(UUID(customer_key(number)),) for number in range(CUSTOMERS)],
            columns=["customer_key"],
        )
        await connection.copy_records_to_table(
            "customer_identifiers",
            records=[
                (kind, value, UUID(customer_key(number)))
                for number in range(CUSTOMERS)
                for kind, value in (
                    ("id", f"customer_{number}"),
                    ("email", f"customer.{number}@example.com"),
                    ("mobile", f"+4930{number:07d}"),
                )
            ],
            columns=["kind", "value", "customer_key"],
        )
        ids = [UUID(coupon_id(number)) for number in range(coupons)]
        await connection.copy_records_to_table(
            "coupons",
            records=[
                (ids[number], code(number), code(number), CAMPAIGN_ID, "active", UUID(customer_key(number)), 1, now)
                for number in range(coupons)
            ],
            columns=["coupon_id", "code", "code_key", "campaign_id", "status", "holder_key", "uses_limit", "issued_at"],
        )
        await connection.copy_records_to_table(
            "ledger_entries",
            records=[
                (now, "issued", ids[number], CAMPAIGN_ID, UUID(customer_key(number)), f"seed {number}", 0, 0, 0, 0)
                for number in range(coupons)
            ],
            columns=[
                "recorded_at", "kind", "coupon_id", "campaign_id", "customer_key", "command_id",
                "held_uses", "used_uses", "held_minor", "used_minor",
            ],
        )  # fmt: skip
        await connection.execute("ANALYZE")
        await connection.execute("CHECKPOINT")


@dataclass(frozen=True, slots=True)
class Span:
    """The time from when the orders became visible to the last committed event."""

    orders: int
    seconds: float

    @property
    def per_second(self) -> float:
        return self.orders / self.seconds


class Load:
    """A sender of orders in one Kafka transaction, so that all become visible at once, and a reader of the results."""

    def __init__(self, bootstrap_servers: str, prefix: str) -> None:
        self._servers = bootstrap_servers
        self._prefix = prefix
        self._topic = topics.ORDERS.prefixed(prefix)

    async def send(self, numbers: Sequence[int]) -> None:
        """Send the orders in one transaction."""
        producer = AIOKafkaProducer(
            bootstrap_servers=self._servers,
            transactional_id=f"{self._prefix}load",
            max_batch_size=256 * 1024,
            linger_ms=5,
        )
        await producer.start()
        try:
            async with producer.transaction():
                futures = [
                    await producer.send(
                        self._topic, order_body(number), f"ORD-{number:09d}".encode(), headers=_headers(number)
                    )
                    for number in numbers
                ]
                for future in futures:
                    await future
        finally:
            await producer.stop()

    async def reader(self) -> AIOKafkaConsumer:
        """Return a read-committed reader of `coupons.redemptions`, from its beginning."""
        consumer = AIOKafkaConsumer(
            topics.COUPONS_REDEMPTIONS.prefixed(self._prefix),
            bootstrap_servers=self._servers,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            group_id=None,
        )
        await consumer.start()
        return consumer


def _headers(number: int) -> list[tuple[str, bytes]]:
    return [
        ("ce_id", b"bench-%d" % number),
        ("ce_source", b"/shop"),
        ("ce_type", b"order.placed"),
        ("ce_specversion", b"1.0"),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("ce_subject", b"ORD-%09d" % number),
        ("content-type", b"application/json"),
    ]


async def plain_tables(database_url: str, coupons: int) -> None:
    """Create and fill the tables of the plain consumer: coupons with a counter, and redemptions."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(
            """
            CREATE SCHEMA plain;
            CREATE TABLE plain.coupons (code text PRIMARY KEY, percent integer NOT NULL, minimum numeric NOT NULL,
                                        ends_at timestamptz NOT NULL, max_uses integer NOT NULL, used integer NOT
                                        NULL DEFAULT 0);
            CREATE TABLE plain.redemptions (redemption_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), order_id text
            NOT NULL,
                                            code text NOT NULL, customer_id text, discount numeric NOT NULL,
                                            redeemed_at timestamptz NOT NULL DEFAULT now(), UNIQUE (order_id, code));
            """
        )
        end = datetime(2038, 1, 1, tzinfo=UTC)
        await connection.copy_records_to_table(
            "coupons",
            schema_name="plain",
            records=[(code(number), 10, 100, end, 1) for number in range(coupons)],
            columns=["code", "percent", "minimum", "ends_at", "max_uses"],
        )
        await connection.execute("ANALYZE plain.coupons")
    finally:
        await connection.close()
