"""Send redemptions over HTTP keep-alive connections as fast as the responses arrive (`python -m bench.http_load`).

It uses raw HTTP/1.1 over asyncio streams in a separate process, because a client library would cost more than the
measured gateway. Prints one JSON line: seconds, latencies in milliseconds, and the number of responses by status.
"""

import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator

import orjson


def request(key: str, code: str, order_id: str) -> bytes:
    """Return the bytes of a complete request."""
    body = orjson.dumps(
        {"codes": [code], "order": {"order_id": order_id, "currency": "USD", "amount": "125.00", "placed_at": None}}
    )
    head = (
        f"POST /v1/redemptions HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def connection(port: int, requests: Iterator[bytes], latencies: list[float], statuses: Counter[int]) -> None:
    """Send one request after another until none is left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for sent in requests:
        started = time.perf_counter()
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")
        )
        await reader.readexactly(length)
        latencies.append(time.perf_counter() - started)
        statuses[int(head[9:12])] += 1
    writer.close()


async def main(port: int, key: str, kind: str, *, first: int, count: int, connections: int) -> None:
    """Send `count` requests: for the coupons BENCH-<n> from `first` on, or all for one coupon if `kind` is hot."""
    requests = iter(
        [
            request(key, "HOT" if kind == "hot" else f"BENCH-{number}", f"{kind}-{number}")
            for number in range(first, first + count)
        ]
    )
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    started = time.perf_counter()
    await asyncio.gather(*[connection(port, requests, latencies, statuses) for _ in range(connections)])
    seconds = time.perf_counter() - started
    cuts = statistics.quantiles(latencies, n=100)
    results = {
        "seconds": seconds,
        "p50_ms": round(cuts[49] * 1e3, 1),
        "p99_ms": round(cuts[98] * 1e3, 1),
        "statuses": {str(status): number for status, number in statuses.items()},
    }
    sys.stdout.write(orjson.dumps(results).decode() + "\n")


if __name__ == "__main__":
    port, key, kind, first, count, connections = sys.argv[1:]
    asyncio.run(main(int(port), key, kind, first=int(first), count=int(count), connections=int(connections)))
