"""Headers of foreign records: kept, never trusted, and never a problem for the commands."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from shared.messaging.connection import client_options
from shared.messaging.dead_letters import DeadLetterQueue, Letter, list_dead_letters
from shared.messaging.records import Record
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.integration.cli_calls import Called, call
from tests.integration.kafka_tools import read_all, write_bad_header

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(environment: dict[str, str]) -> Couponry:
    def called(*arguments: str) -> Called:
        return call(environment, *arguments)

    return called


@pytest.fixture
def settings(environment: dict[str, str], topic_prefix: str) -> KafkaSettings:
    settings = KafkaSettings(
        kafka_bootstrap_servers=environment["COUPONRY_KAFKA_BOOTSTRAP_SERVERS"], topic_prefix=topic_prefix
    )
    asyncio.run(create_topics(settings))
    return settings


def bury(settings: KafkaSettings, *headers: tuple[str, bytes | None], offset: int = 17) -> None:
    async def write_dead_letters() -> None:
        queue = DeadLetterQueue(settings, "redeemer")
        record = Record(settings.topic("orders"), 3, offset, 1_700_000_000_000, b"O1", b"{", headers)
        await queue.bury([Letter(record, "bad_data", "It is so.")])
        await queue.stop()

    asyncio.run(write_dead_letters())


def write(settings: KafkaSettings, topic: str, value: bytes, *headers: tuple[str, bytes | None]) -> None:
    async def written() -> None:
        producer = AIOKafkaProducer(**client_options(settings, "tests-writer"))
        await producer.start()
        await producer.send_and_wait(settings.topic(topic), value, b"k", headers=list(headers))
        await producer.stop()

    asyncio.run(written())


def records(settings: KafkaSettings, topic: str) -> list[Any]:
    return asyncio.run(read_all(settings, settings.topic(topic)))


def test_headers_that_are_null_or_not_text_are_listed_shown_and_replayed(
    couponry: Couponry, settings: KafkaSettings
) -> None:
    headers = (("nothing", None), ("bytes", b"\xff\x00\x1b[2J"), ("[red]", b"x"), ("nothing", None), ("\x1b", b""))
    bury(settings, *headers)
    [listed] = couponry("dlq", "list", "--json").json
    assert listed["headers"][0] == ["nothing", None]
    assert listed["headers"][1] == ["bytes", "\\xff\x00\x1b[2J"]
    assert couponry("dlq", "list").exit_code == 0
    shown = couponry("dlq", "show", listed["letter"])
    assert "header nothing null" in shown.words
    assert "header [red] x" in shown.words
    assert "\x1b" not in shown.out
    assert couponry("dlq", "replay", listed["letter"], "--json").json == {"sent": 1, "left_out": 0}
    [again] = records(settings, "orders")
    assert tuple(again.headers) == headers


def test_a_record_with_headers_like_ours_is_not_trusted_and_replayed_unchanged(
    couponry: Couponry, settings: KafkaSettings
) -> None:
    headers = (
        ("couponry_dlq_topic", settings.topic("rewards").encode()),
        ("couponry_dlq_service", b"issuer"),
        ("couponry_dlq_value_omitted", b"1"),
        ("couponry_dlq_error_text", b"forged"),
        ("foreign_couponry_dlq_topic", b"twice"),
        ("foreign_other", b"untouched"),
    )
    bury(settings, *headers)
    [listed] = couponry("dlq", "list", "--json").json
    assert (listed["origin"]["topic"], listed["service"]) == (settings.topic("orders"), "redeemer")
    assert (listed["error_text"], listed["value_omitted"]) == ("It is so.", False)
    assert [tuple(one) for one in listed["headers"]] == [(name, (text or b"").decode()) for name, text in headers]
    assert couponry("dlq", "replay", "--all", "--json").json["sent"] == 1
    [again] = records(settings, "orders")
    assert tuple(again.headers) == headers
    assert records(settings, "rewards") == []


def test_a_letter_of_an_earlier_version_is_read_by_its_last_headers(settings: KafkaSettings) -> None:
    def ours(topic: str, text: bytes) -> list[tuple[str, bytes]]:
        about = {"topic": settings.topic(topic).encode(), "partition": b"1", "offset": b"2", "timestamp_ms": b"3"}
        about |= {"error_class": b"bad_data", "error_text": text, "service": b"redeemer"}
        about["failed_at"] = b"2026-11-22T09:30:00"
        return [(f"couponry_dlq_{name}", value) for name, value in about.items()]

    omitted = ("couponry_dlq_value_omitted", b"1")
    write(settings, "orders.redeemer.dlq", b"{", *ours("rewards", b"forged"), omitted, *ours("orders", b"true"))
    [letter] = asyncio.run(list_dead_letters(settings, settings.topic("orders.redeemer.dlq")))
    assert (letter.record.topic, letter.error_text) == (settings.topic("orders"), "true")
    assert not letter.value_omitted
    assert letter.failed_at.tzinfo is not None


def test_a_record_written_by_hand_cannot_name_another_origin(couponry: Couponry, settings: KafkaSettings) -> None:
    about = {"topic": settings.topic("coupons.redemptions"), "partition": "0", "offset": "0", "timestamp_ms": "0"}
    about |= {"error_class": "x", "error_text": "x", "service": "redeemer", "failed_at": "2026-11-22T09:30:00+00:00"}
    forged = [(f"couponry_dlq_{name}", value.encode()) for name, value in about.items()]
    write(settings, "orders.redeemer.dlq", b"forged", *forged)
    write(settings, "orders.redeemer.dlq", b"no headers")
    write(settings, "orders.redeemer.dlq", b"null", ("couponry_dlq_topic", None))
    assert couponry("dlq", "list").words == "No dead letters."
    assert couponry("dlq", "replay", "--all", "--json").json == {"sent": 0, "left_out": 0}
    assert records(settings, "coupons.redemptions") == []


def test_a_record_that_the_client_cannot_decode_hides_no_other(couponry: Couponry, settings: KafkaSettings) -> None:
    bury(settings, offset=1)
    asyncio.run(write_bad_header(settings, settings.topic("orders.redeemer.dlq"), 0))
    bury(settings, offset=2)
    asyncio.run(write_bad_header(settings, settings.topic("orders.redeemer.dlq"), 0))
    assert [one["origin"]["offset"] for one in couponry("dlq", "list", "--json").json] == [1, 2]


@pytest.mark.parametrize(
    ("replication", "exit_code", "expected"),
    [("1", 0, "created"), ("-1", 0, "created"), ("3", 1, "replication factor"), ("0", 1, "replication factor")],
)
def test_topics_are_created_with_the_requested_replicas_or_a_reason(
    couponry: Couponry, replication: str, exit_code: int, expected: str
) -> None:
    called = couponry("topics", "create", "--replication", replication)
    assert called.exit_code == exit_code, called
    assert expected in (called.out + called.err).lower()
    assert "doesn't answer" not in called.err
