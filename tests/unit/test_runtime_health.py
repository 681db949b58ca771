"""Readiness: every check runs with a timeout, and a failing check is reported. Metrics are valid."""

import asyncio

import pytest
from httpx import ASGITransport, AsyncClient
from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from shared.messaging.consumer_report import ConsumerReport
from shared.runtime import health as module
from shared.runtime import telemetry
from shared.runtime.backoff import Backoff
from shared.runtime.health import Health, health_app


async def ready() -> str | None:
    return None


async def broken() -> str | None:
    raise ConnectionRefusedError("5432")


async def never() -> str | None:
    await asyncio.Event().wait()
    return None


def started() -> Health:
    health = Health(60)
    health.started()
    return health


async def test_nothing_is_ready_before_it_reports_its_start() -> None:
    health = Health(60)
    assert await health.unready() == {"service": "still starting"}
    health.started()
    assert await health.unready() == {}


async def test_a_check_that_raises_is_not_ready() -> None:
    health = started()
    health.add_check("ready", ready)
    health.add_check("database", broken)
    assert await health.unready() == {"database": "ConnectionRefusedError: 5432"}


async def test_a_check_that_hangs_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    health = started()
    health.add_check("broker", never)
    assert list(await health.unready()) == ["broker"]


async def test_without_progress_a_process_is_not_ready() -> None:
    health = Health(60, ready_seconds=0.01)
    health.started()
    health.add_check("database", broken)
    await asyncio.sleep(0.02)
    assert list(await health.unready()) == ["database", "progress"]
    health.ready_seconds = 60
    health.note_progress()
    assert list(await health.unready()) == ["database"]


async def test_a_batch_that_runs_for_too_long_is_not_ready_despite_attempts() -> None:
    health = Health(60, ready_seconds=0.01)
    health.started()
    report = ConsumerReport("tests", health)
    report.assigned(set())
    report.batch_started()
    await asyncio.sleep(0.02)
    report.failed_attempt("handler", "away", 1, 0.1)
    assert "batch" in await health.unready()
    report.batch_ended()
    health.note_progress()
    assert "batch" not in await health.unready()


def test_without_progress_a_process_is_not_alive() -> None:
    assert Health(60).alive()
    assert not Health(-1).alive()


def test_waits_double_up_to_the_longest_and_differ() -> None:
    backoff = Backoff(first_seconds=1, longest_seconds=8)
    for attempt, step in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 8), (1_000, 8)]:
        waits = {backoff.seconds(attempt) for _ in range(50)}
        assert all(step / 2 <= wait <= step for wait in waits)
        assert len(waits) > 1


METRICS = [one for one in vars(telemetry).values() if isinstance(one, Counter | Gauge | Histogram)]
ODD_LABEL = 'we"ird\\\n\u00e9\u2028\x00 }'


async def test_metrics_are_valid_whatever_a_label_says() -> None:
    for metric in METRICS:
        if metric._labelnames:
            metric.labels(*[ODD_LABEL] * len(metric._labelnames))
    async with AsyncClient(transport=ASGITransport(health_app(started())), base_url="http://health") as client:
        response = await client.get("/metrics")
    for metric in METRICS:
        if metric._labelnames:
            metric.remove(*[ODD_LABEL] * len(metric._labelnames))
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    for metric in METRICS:
        [described] = metric.describe()
        family = families[described.name]
        assert family.type == described.type
        assert family.documentation.endswith(".")
        labels = dict.fromkeys(metric._labelnames, ODD_LABEL)
        assert any(labels.items() <= sample.labels.items() for sample in family.samples), described.name


def test_the_name_of_a_metric_ends_in_its_unit() -> None:
    units = ("seconds", "records", "bytes")
    for metric in METRICS:
        [described] = metric.describe()
        name = described.name + ("_total" if isinstance(metric, Counter) else "")
        plain = ("_open", "_leader", "_running", "_waiting")
        assert name.endswith(("_total", *units)) or (isinstance(metric, Gauge) and name.endswith(plain)), name
