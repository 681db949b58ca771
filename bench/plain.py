"""The consumer that a team would write first: one order, one transaction, one event and one offset at a time.

The comparison is fair: it locks the coupon's row, is idempotent by a unique key, and loses nothing. It implements the
few rules of this workload directly. Run it as `python -m bench.plain BOOTSTRAP DATABASE PREFIX`; stop it with SIGTERM.
"""

import asyncio
import json
import sys
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from schemas import topics

Event = dict[str, Any]


async def redeem(connection: asyncpg.Connection, order: Event) -> Event | None:
    """Use the order's coupon. Return the event to publish, or None if the coupon can't be used."""
    code = order["coupon_codes"][0]
    async with connection.transaction():
        coupon = await connection.fetchrow("SELECT * FROM plain.coupons WHERE code = $1 FOR UPDATE", code)
        amount = Decimal(order["amount"])
        if coupon is None or coupon["used"] >= coupon["max_uses"] or amount < coupon["minimum"]:
            return None
        if datetime.fromisoformat(order["placed_at"]) >= coupon["ends_at"]:
            return None
        discount = (amount * coupon["percent"] / 100).quantize(Decimal("0.01"), ROUND_HALF_UP)
        await connection.execute("UPDATE plain.coupons SET used = used + 1 WHERE code = $1", code)
        redemption_id = await connection.fetchval(
            "INSERT INTO plain.redemptions (order_id, code, customer_id, discount) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (order_id, code) DO NOTHING RETURNING redemption_id",
            order["order_id"],
            code,
            order["customer"]["customer_id"],
            discount,
        )
    return {
        "redemption_id": str(redemption_id),
        "order_id": order["order_id"],
        "customer": order["customer"],
        "order_amount": order["amount"],
        "currency": order["currency"],
        "discount_amount": str(discount),
        "coupons": [{"code": code, "discount_amount": str(discount)}],
        "redeemed_at": datetime.now(UTC).isoformat(),
    }


async def main(bootstrap_servers: str, database_url: str, prefix: str) -> None:
    consumer = AIOKafkaConsumer(
        topics.ORDERS.prefixed(prefix),
        bootstrap_servers=bootstrap_servers,
        group_id=f"{prefix}plain",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level="read_committed",
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, acks="all", enable_idempotence=True)
    connection = await asyncpg.connect(database_url)
    await consumer.start()
    await producer.start()
    target = topics.COUPONS_REDEMPTIONS.prefixed(prefix)
    async for record in consumer:
        event = await redeem(connection, json.loads(record.value))
        if event is not None:
            await producer.send_and_wait(target, json.dumps(event).encode(), record.key)
        await consumer.commit()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
