"""One run: rounds of mutated inputs with good ones among them, then a check of the results."""

import asyncio
import json
import random
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from schemas.topics import ORDERS, REWARDS
from shared.ledger.migrate import migrate
from tests.backends import Broker, Postgres
from tests.faults.shop import placed
from tests.fuzz.client import Client
from tests.fuzz.corpus import kept_records, kept_requests
from tests.fuzz.events import Record, Records
from tests.fuzz.requests import HttpRequest, Requests
from tests.fuzz.stack import Findings, Stack, settle, stack

RECORDS_A_ROUND: Final = 1_500
REQUESTS_A_ROUND: Final = 500
GOOD_EVERY: Final = 50
"""The number of inputs for each good one."""

CONNECTIONS: Final = 12
MAX_ROUNDS: Final = 200


@dataclass
class Report:
    """The results of a run. `statuses` counts HTTP statuses; `problems` is empty if all is well."""

    seed: int
    event_format: str
    rounds: int = 0
    records: int = 0
    requests: int = 0
    seconds: float = 0.0
    good: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    counts: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        return self.records + self.requests


async def fuzz(
    broker: Broker, postgres: Postgres, folder: Path, *, seed: int, event_format: str, rounds: int, seconds: float
) -> Report:
    """Send up to `rounds` rounds, starting none after `seconds`; then check the results.

    The same seed and number of rounds send the same inputs. Inputs that did harm are written to `folder`.

    """
    name = f"fuzz_{uuid.uuid4().hex}"
    url = postgres.create_database(name)
    migrate(url)
    report = Report(seed, event_format)
    rounds = min(rounds, MAX_ROUNDS)
    good = rounds * (RECORDS_A_ROUND + REQUESTS_A_ROUND) // GOOD_EVERY + 10
    prefix = f"fuzz{uuid.uuid4().hex[:8]}."
    started = time.monotonic()
    try:
        async with stack(broker, url, folder, prefix=prefix, event_format=event_format, good=good) as running:
            findings = Findings()
            codes = iter(running.good_codes)
            begun = time.monotonic()
            for number in range(rounds):
                if number and time.monotonic() - begun > seconds:
                    break
                await _round(running, report, findings, codes, random.Random(f"{seed} {number}"), first=number == 0)
                report.rounds += 1
            await settle(running, findings, report.good)
            report.problems, report.counts = findings.problems, dict(findings.counts)
    finally:
        postgres.drop_database(name)
    report.seconds = time.monotonic() - started
    return report


async def _round(
    running: Stack, report: Report, findings: Findings, codes: Iterator[str], chance: random.Random, *, first: bool
) -> None:
    makes_records = Records(random.Random(chance.random()))
    makes_requests = Requests(random.Random(chance.random()), running.key, running.voidable)
    records = [*(kept_records() if first else ()), *(makes_records.next() for _ in range(RECORDS_A_ROUND))]
    requests = [
        *(kept_requests(running.key) if first else ()),
        *(makes_requests.next() for _ in range(REQUESTS_A_ROUND)),
    ]
    await asyncio.gather(
        _send_records(running, report, records, codes), _send_requests(running, report, findings, requests, codes)
    )


async def _send_records(running: Stack, report: Report, records: list[Record], codes: Iterator[str]) -> None:
    for number, record in enumerate(records):
        await _write(running, record)
        if number % GOOD_EVERY == 0:
            now = datetime.now(UTC).isoformat()
            order_id, value = placed(f"good {report.good['orders']}", next(codes), placed_at=now)
            await _write(running, Record(ORDERS.name, order_id.encode(), value))
            await _write(running, _good_reward(report.good["rewards"]))
            report.good.update(("orders", "rewards"))
            report.records += 2
    report.records += len(records)
    await running.producer.flush()


async def _write(running: Stack, record: Record) -> None:
    await running.producer.send(
        running.settings.topic(record.topic), record.value, record.key, headers=list(record.headers)
    )
    running.sent[record.topic] += 1


def _good_reward(number: int) -> Record:
    data = {
        "reward_id": f"good {number}",
        "rule_id": "good",
        "customer": {"customer_id": f"good {number}"},
        "earned_at": "2026-03-01T12:00:00Z",
    }
    attributes = {"specversion": "1.0", "id": f"good {number}", "source": "/good", "type": "reward.earned"}
    return Record(REWARDS.name, b"good", json.dumps({**attributes, "data": data}).encode())


async def _send_requests(
    running: Stack, report: Report, findings: Findings, requests: list[HttpRequest], codes: Iterator[str]
) -> None:
    waiting: list[tuple[HttpRequest, bool]] = []
    for number, request in enumerate(requests):
        waiting.append((request, False))
        if number % GOOD_EVERY == 0:
            waiting.append((_good_request(running.key, report.good["http"], next(codes)), True))
            report.good["http"] += 1
    report.requests += len(waiting)
    waiting.reverse()

    async def work(client: Client) -> None:
        while waiting:
            request, is_good = waiting.pop()
            answer = await client.send(request)
            report.statuses[answer.status] += 1
            if (
                answer.status >= 500
                or (answer.status == 0 and (is_good or answer.body))
                or (is_good and answer.status != 200)
            ):
                findings.problems.append(f"{answer.status} to {_shown(request)}: {answer.body[:300]!r}")
        await client.close()

    await asyncio.gather(*(work(running.client()) for _ in range(CONNECTIONS)))


def _good_request(key: str, number: int, code: str) -> HttpRequest:
    body = {"codes": [code], "order": {"order_id": f"good http {number}", "currency": "USD", "amount": "100.00"}}
    headers = (("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"))
    return HttpRequest("native", "POST", "/v1/redemptions", headers, json.dumps(body).encode())


def _shown(request: HttpRequest) -> str:
    headers = [(name, value) for name, value in request.headers if name in {"Content-Type", "Idempotency-Key"}]
    return f"{request.method} {request.path[:300]} {headers} {request.body[:1_500]!r}"


def summary(report: Report) -> dict[str, Any]:
    """Return the report as JSON."""
    return {
        "seed": report.seed,
        "event_format": report.event_format,
        "rounds": report.rounds,
        "records": report.records,
        "requests": report.requests,
        "good": dict(report.good),
        "statuses": {str(status): count for status, count in sorted(report.statuses.items())},
        "counts": report.counts,
        "seconds": round(report.seconds, 1),
        "problems": report.problems,
    }
