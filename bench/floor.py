"""The floor: the speed at which Python, asyncpg and aiokafka move the same rows when nothing is decided.

It polls 1,000 records, parses them with orjson, and writes the rows that Couponry writes for an accepted order (coupon,
order, ledger entry, journal, outbox) into the same tables in one transaction. Then it sends the events and the offsets
in one Kafka transaction. It looks nothing up, checks nothing, and would redeem a coupon twice. One process.
Run it as `python -m bench.floor BOOTSTRAP DATABASE PREFIX`; stop it with SIGTERM.
"""

import asyncio
import sys
from datetime import UTC, datetime
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.structs import ConsumerRecord

from bench.workload import CAMPAIGN_ID, coupon_id, customer_key
from schemas import topics
from shared.domain.model.ids import derived_id
from shared.ledger.database import Pool, open_pool
from shared.ledger.sql import sql


def event_of(order: dict[str, Any], number: int, now: str) -> bytes:
    """Return an event like the one that Couponry publishes."""
    return orjson.dumps(
        {
            "redemption_id": coupon_id(number),
            "order_id": order["order_id"],
            "customer": order["customer"],
            "requested_count": 1,
            "order_amount": order["amount"],
            "currency": "USD",
            "channel": "orders",
            "discount_amount": "15.00",
            "coupons": [
                {
                    "coupon_id": coupon_id(number),
                    "code": order["coupon_codes"][0],
                    "campaign_id": CAMPAIGN_ID,
                    "discount": {"kind": "percentage", "value": "10"},
                    "discount_amount": "15.00",
                    "lines": [{"line_id": line["line_id"], "discount_amount": "5.00"} for line in order["lines"]],
                }
            ],
            "lock_reference": None,
            "redeemed_at": now,
        }
    )


async def write(
    pool: Pool, orders: list[dict[str, Any]], numbers: list[int], events: list[bytes], now: datetime
) -> None:
    """Write the rows of accepted orders, with the engine's own statements where possible."""
    count = len(orders)
    none = [None] * count
    order_ids = [order["order_id"] for order in orders]
    coupon_ids = [coupon_id(number) for number in numbers]
    customer_keys = [customer_key(number) for number in numbers]
    commands = [f"/shop bench-{number}" for number in numbers]
    bodies = [event.decode() for event in events]
    lines = ['[["1",500],["2",500],["3",500]]'] * count
    ordered = ['[["1",1,5000],["2",1,5000],["3",1,5000]]'] * count
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(
            sql("orders_insert"), order_ids, ["placed"] * count, customer_keys, [now] * count, none, none, none,
            ["USD"] * count, [15000] * count, ordered,
        )  # fmt: skip
        await connection.execute(sql("coupons_update"), coupon_ids, [0] * count, [1] * count, ["active"] * count)
        await connection.execute(
            sql("floor_entries", "bench"), ["burned"] * count, coupon_ids, [CAMPAIGN_ID] * count, customer_keys,
            order_ids, none, coupon_ids, commands, [0] * count, [1] * count, [0] * count, [1500] * count,
            ["USD"] * count, lines, [0] * count, now,
        )  # fmt: skip
        await connection.execute(
            sql("floor_journal", "bench"), commands, [b"0" * 17] * count, ["RedeemCoupons"] * count,
            ["redeemed"] * count, [""] * count, order_ids, bodies, now,
        )  # fmt: skip
        await connection.execute(
            sql("floor_outbox", "bench"), [derived_id("event", command) for command in commands],
            ["coupons.redemptions"] * count, order_ids, ["coupon.redeemed"] * count, ["/couponry/redeemer"] * count,
            order_ids, [now] * count, none, bodies,
        )  # fmt: skip


async def publish(
    producer: AIOKafkaProducer, topic: str, records: list[ConsumerRecord], events: list[bytes], group: str
) -> None:
    """Send the events and the offsets in one Kafka transaction."""
    offsets: dict[TopicPartition, int] = {}
    async with producer.transaction():
        futures = []
        for record, event in zip(records, events, strict=True):
            futures.append(
                await producer.send(
                    topic, event, record.key, headers=[("ce_id", b"0"), ("ce_type", b"coupon.redeemed")]
                )
            )
            offsets[TopicPartition(record.topic, record.partition)] = record.offset + 1
        await asyncio.gather(*futures)
        await producer.send_offsets_to_transaction(offsets, group)


async def main(bootstrap_servers: str, database_url: str, prefix: str) -> None:
    group = f"{prefix}floor"
    consumer = AIOKafkaConsumer(
        topics.ORDERS.prefixed(prefix),
        bootstrap_servers=bootstrap_servers,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap_servers, transactional_id=f"{prefix}floor", max_batch_size=512 * 1024
    )
    pool = await open_pool(database_url, role=None)
    await consumer.start()
    await producer.start()
    target = topics.COUPONS_REDEMPTIONS.prefixed(prefix)
    while True:
        batches = await consumer.getmany(timeout_ms=100, max_records=1_000)
        records = [record for batch in batches.values() for record in batch]
        if not records:
            continue
        orders = [orjson.loads(record.value) for record in records]
        numbers = [int(order["order_id"].removeprefix("ORD-")) for order in orders]
        now = datetime.now(UTC)
        text = now.isoformat()
        events = [event_of(order, number, text) for order, number in zip(orders, numbers, strict=True)]
        await write(pool, orders, numbers, events, now)
        await publish(producer, target, records, events, group)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
