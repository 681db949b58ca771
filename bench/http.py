"""Measure redemptions per second over HTTP: distinct coupons and a shared one, with and without the micro-batcher.

Without the micro-batcher each request has a separate transaction. Everything else is the same process with the same
settings. The two variants take turns in one run.
"""

import asyncio
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from cli.processes import free_port
from cli.supervisor import Supervisor
from services.gateway.access import keys
from shared.domain.model.commands import MAX_CREATED, CreateCoupons
from shared.ledger.audit import audit
from shared.ledger.campaigns import save
from shared.ledger.database import open_pool
from shared.ledger.engine import Engine
from shared.ledger.migrate import migrate
from tests.backends import Postgres, start_postgres
from tests.ledger import definition

CONNECTIONS: Final = 50
REQUESTS: Final = {"distinct": 2_000, "hot": 2_000}
WARMING: Final = 200
BATCHES: Final = {"with": {"size": 200, "batches": 2}, "without": {"size": 1, "batches": 8}}
"""`with` is the gateway's default; `without` runs one transaction per request, eight at a time."""

LEAST_HOT_RATIO: Final = 3.0


async def load(port: int, key: str, kind: str, first: int, count: int) -> dict[str, Any]:
    """Run one load in a separate process and return its measurements."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.http_load", str(port), key, kind, str(first), str(count), str(CONNECTIONS)),
        stdout=asyncio.subprocess.PIPE,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), 300)
    results: dict[str, Any] = orjson.loads(printed)
    if results["statuses"] != {"200": count}:
        raise SystemExit(f"Not every response was a 200: {results['statuses']}")
    return results


async def turn(postgres: Postgres, number: int, how: str, scale: float) -> dict[str, dict[str, float]]:
    """Run both loads on a separate gateway and database; return requests per second and latencies by load."""
    database = f"bench_http_{how}_{number}_{os.getpid()}"
    database_url = postgres.create_database(database)
    try:
        migrate(database_url)
        pool = await open_pool(database_url, max_size=2)
        hot = definition("hot", code={"shared_code": "HOT"}, limits={})
        await save(pool, [definition("bench"), hot])
        counts = {kind: max(500, int(count * scale)) for kind, count in REQUESTS.items()}
        total = counts["distinct"] + WARMING
        for first in range(0, total, MAX_CREATED):
            codes = tuple(f"BENCH-{one}" for one in range(first, min(first + MAX_CREATED, total)))
            await Engine(pool).execute([CreateCoupons(f"/bench {first}", "bench", codes=codes)])
        key = (await keys.create(pool, "bench", ["redeem"])).key
        port = free_port()
        environment = {
            "COUPONRY_DATABASE_URL": database_url,
            "COUPONRY_HTTP_PORT": str(port),
            "COUPONRY_HTTP_BATCH_SIZE": str(BATCHES[how]["size"]),
            "COUPONRY_HTTP_BATCHES": str(BATCHES[how]["batches"]),
            "COUPONRY_HTTP_RATE_PER_MINUTE": "10000000",
            "COUPONRY_LOG_LEVEL": "error",
        }
        results: dict[str, dict[str, float]] = {}
        with tempfile.TemporaryDirectory(prefix="couponry-bench-") as folder:
            async with Supervisor(environment, {"gateway": 1}, Path(folder)) as supervisor:
                await supervisor.ready()
                await load(port, key, "distinct", 0, WARMING)
                for kind, count in counts.items():
                    one = await load(port, key, kind, WARMING, count)
                    results[kind] = {
                        "per_second": round(count / one["seconds"], 1),
                        "p50_ms": one["p50_ms"],
                        "p99_ms": one["p99_ms"],
                    }  # fmt: skip
        used = await pool.fetchval("SELECT sum(used_uses)::int FROM coupons")
        if used != total + counts["hot"] or (await audit(pool)).findings:
            raise SystemExit(
                f"{total + counts['hot']} redemptions succeeded, but the ledger has {used}, or the audit failed."
            )
        await pool.close()
    finally:
        postgres.drop_database(database)
    return results


async def measure_http(rounds: int, scale: float) -> dict[str, Any]:
    """Return the medians of each load and variant, and the speed-up of the micro-batcher for each load."""
    turns: dict[str, list[dict[str, dict[str, float]]]] = {how: [] for how in BATCHES}
    with start_postgres() as postgres:
        for number in range(rounds):
            for how in BATCHES:
                turns[how].append(await turn(postgres, number, how, scale))
                for kind, one in turns[how][-1].items():
                    sys.stdout.write(
                        f"round {number + 1}  http {kind:<9} {how:<8} {one['per_second']:>8,.0f} redemptions/s   "
                        f"p50 {one['p50_ms']:>6.1f} ms  p99 {one['p99_ms']:>6.1f} ms\n"
                    )
                sys.stdout.flush()
    results: dict[str, Any] = {"connections": CONNECTIONS}
    for kind in REQUESTS:
        for how in BATCHES:
            results.setdefault(kind, {})[how] = {
                name: statistics.median(one[kind][name] for one in turns[how])
                for name in ("per_second", "p50_ms", "p99_ms")
            }
        results[kind]["ratio"] = round(
            statistics.median(
                one[kind]["per_second"] / other[kind]["per_second"]
                for one, other in zip(turns["with"], turns["without"], strict=True)
            ),
            2,
        )
    return results
