"""Readiness: every check runs with a timeout, and a failing check is reported."""

import asyncio

import pytest

from shared.messaging.consumer_report import ConsumerReport
from shared.runtime import health as module
from shared.runtime.backoff import Backoff
from shared.runtime.health import Health


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
