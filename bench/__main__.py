"""Measure Couponry's speed relative to a plain consumer and to a floor, in turns on one machine (`python -m bench`).

It also measures a single decision relative to pydantic, large requests, the gateway with and without its micro-batcher,
and sign-ups relative to orders. Writes bench/latest.json; bench/README.md explains the results.
"""

import argparse
import asyncio
import logging
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from bench.decide import format_decisions, measure_decisions
from bench.http import measure_http
from bench.signups import measure_signups
from bench.work import format_work, measure_work
from bench.workload import READY_ORDERS, Load, Span, plain_tables, seed
from cli.supervisor import Supervisor
from shared.ledger.audit import audit
from shared.ledger.database import open_pool
from shared.ledger.migrate import migrate
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.backends import Broker, Postgres, start_kafka, start_postgres

ORDERS = {"plain": 1_500, "floor": 40_000, "redeem": 40_000, "redeem_single": 40_000}
"""Orders per turn: enough for several seconds, at every contender's speed."""

REDEEMERS = {"redeem": 2, "redeem_single": 1}
"""Redeemer processes of Couponry's contenders. Each has one relay process in addition."""

MAX_SECONDS = 120.0

OTHERS = ("decide", "http", "signups", "work")
"""Measurements without the contenders."""


@asynccontextmanager
async def contender(name: str, broker: Broker, database_url: str, prefix: str, folder: Path) -> AsyncIterator[None]:
    """Run the processes of one contender."""
    environment = {
        **broker.environment,
        "COUPONRY_DATABASE_URL": database_url,
        "COUPONRY_TOPIC_PREFIX": prefix,
        "COUPONRY_LOG_FORMAT": "json",
    }
    if name in REDEEMERS:
        services = {"redeemer": REDEEMERS[name], "relay": 1}
        async with Supervisor(environment, services, folder) as supervisor:
            await supervisor.ready()
            yield
        return
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", f"bench.{name}", broker.bootstrap_servers, database_url, prefix, env=os.environ
    )
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


async def turn(name: str, number: int, broker: Broker, postgres: Postgres, orders: int) -> Span:
    """Measure one turn of one contender, on a separate database and topics."""
    database = f"bench_{name}_{number}_{os.getpid()}"
    database_url = postgres.create_database(database)
    prefix = f"bench-{os.getpid()}-{name}-{number}."
    try:
        migrate(database_url)
        total = orders + READY_ORDERS
        await (plain_tables if name == "plain" else seed)(database_url, total)
        await create_topics(KafkaSettings(kafka_bootstrap_servers=broker.bootstrap_servers, topic_prefix=prefix))
        load = Load(broker.bootstrap_servers, prefix)
        reader = await load.reader()
        with tempfile.TemporaryDirectory(prefix="couponry-bench-") as folder:
            async with contender(name, broker, database_url, prefix, Path(folder)):
                await load.send(range(READY_ORDERS))
                await _read(reader, READY_ORDERS)
                await load.send(range(READY_ORDERS, total))
                started = time.perf_counter()
                await _read(reader, orders)
                span = Span(orders, time.perf_counter() - started)
            await reader.stop()
        if name in REDEEMERS:
            await _check_result(database_url, total)
        return span
    finally:
        postgres.drop_database(database)


async def _read(reader: Any, count: int) -> None:
    """Wait for `count` committed events."""
    async with asyncio.timeout(MAX_SECONDS):
        while count > 0:
            batches = await reader.getmany(timeout_ms=200, max_records=5_000)
            count -= sum(map(len, batches.values()))


async def _check_result(database_url: str, orders: int) -> None:
    """Exit if an order wasn't redeemed exactly once, or the audit finds something."""
    pool = await open_pool(database_url, role=None)
    async with pool:
        burned = await pool.fetchval("SELECT count(*) FROM ledger_entries WHERE kind = 'burned'")
        if burned != orders:
            raise SystemExit(f"{orders} orders were sent, but {burned} coupons were used.")
        # Seeded coupons have no recorded command. Every other check must be clean.
        findings = [f for f in (await audit(pool)).findings if f.check != "audit_orphans"]
        if findings:
            raise SystemExit(f"The audit found differences: {findings[:3]}")


async def measure(rounds: int, names: Sequence[str], scale: float) -> dict[str, Any]:
    """Return the orders per second of each contender, their medians and ratios."""
    rates: dict[str, list[float]] = {name: [] for name in names}
    with start_kafka() as broker, start_postgres() as postgres:
        for number in range(rounds):
            for name in names:
                span = await turn(name, number, broker, postgres, max(200, int(ORDERS[name] * scale)))
                rates[name].append(span.per_second)
                sys.stdout.write(
                    f"round {number + 1}  {name:<13} {span.per_second:>9,.0f} orders/s  ({span.seconds:.1f} s)\n"
                )
                sys.stdout.flush()
        backends = {"broker": broker.description, "database": postgres.description}
    medians = {name: statistics.median(values) for name, values in rates.items()}
    result: dict[str, Any] = {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": os.cpu_count(), "python": platform.python_version(), **backends},
        "rounds": rounds,
        "orders_per_second": {name: [round(value, 1) for value in values] for name, values in rates.items()},
        "median_orders_per_second": {name: round(value, 1) for name, value in medians.items()},
    }
    for name in [name for name in REDEEMERS if {"plain", "floor", name} <= medians.keys()]:
        result[name] = {
            "ratio_to_plain": round(medians[name] / medians["plain"], 2),
            "ratio_to_floor": round(medians[name] / medians["floor"], 3),
        }
    return result


def main() -> None:
    # aiokafka logs errors while a new group has no coordinator yet.
    logging.basicConfig(level=logging.CRITICAL)
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="turns of each contender; medians are reported (default: 3)"
    )
    parser.add_argument("--only", nargs="+", choices=[*sorted(ORDERS), *OTHERS], default=[*ORDERS, *OTHERS])
    parser.add_argument(
        "--scale", type=float, default=1.0, help="fraction of the usual number of orders, for a quick run"
    )
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "latest.json")
    arguments = parser.parse_args()
    decisions = measure_decisions() if "decide" in arguments.only else {}
    if decisions:
        sys.stdout.write(format_decisions(decisions) + "\n")
    work = measure_work() if "work" in arguments.only else {}
    if work:
        sys.stdout.write(format_work(work) + "\n")
    over_http = asyncio.run(measure_http(arguments.rounds, arguments.scale)) if "http" in arguments.only else {}
    if over_http:
        sys.stdout.write(orjson.dumps(over_http).decode() + "\n")
    signups = asyncio.run(measure_signups(arguments.rounds, arguments.scale)) if "signups" in arguments.only else {}
    if signups:
        sys.stdout.write(orjson.dumps(signups).decode() + "\n")
    if contenders := [name for name in arguments.only if name not in OTHERS]:
        result = asyncio.run(measure(arguments.rounds, contenders, arguments.scale))
        result |= {"decide": decisions, "work": work, "http": over_http, "signups": signups}
        arguments.output.write_bytes(orjson.dumps(result, option=orjson.OPT_INDENT_2) + b"\n")
        sys.stdout.write(orjson.dumps(result.get("redeem", result["median_orders_per_second"])).decode() + "\n")


if __name__ == "__main__":
    main()
