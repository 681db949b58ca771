"""Test the commands that need a broker, on a real one: topics, publishing, dead letters; and the demo's reader."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from cli.demo.streams import StreamReader
from cli.demo.waiting import Watcher
from cli.errors import CommandFailedError
from schemas.topics import all_topics
from shared.ledger.database import open_pool
from shared.ledger.engine import Engine
from shared.messaging.codec import Codec
from shared.messaging.dead_letters import DeadLetterQueue, Letter
from shared.messaging.empty_fetch_pause import pause_after_empty_fetches
from shared.messaging.records import Record
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import KafkaSettings
from tests.integration.cli_calls import Called, call
from tests.ledger import definition, issue, ledger

pytestmark = [pytest.mark.broker, pytest.mark.postgres]

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(environment: dict[str, str]) -> Couponry:
    """Call `couponry(…)` on this test's ledger and topics."""

    def called(*arguments: str, given: str | bytes | None = None) -> Called:
        return call(environment, *arguments, given=given)

    return called


@pytest.fixture
def settings(environment: dict[str, str], topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(
        kafka_bootstrap_servers=environment["COUPONRY_KAFKA_BOOTSTRAP_SERVERS"], topic_prefix=topic_prefix
    )


@pytest.fixture
def topics(settings: KafkaSettings) -> KafkaSettings:
    """Create the topics."""
    asyncio.run(create_topics(settings))
    return settings


def records(settings: KafkaSettings, topic: str) -> list[Any]:
    """Return the records of a topic (name without prefix), partition by partition."""

    async def read() -> list[Any]:
        name = settings.topic(topic)
        count = next(one.partitions for one in all_topics(settings.topic_prefix) if one.name == name)
        partitions = [TopicPartition(name, number) for number in range(count)]
        consumer = AIOKafkaConsumer(
            bootstrap_servers=settings.kafka_bootstrap_servers, auto_offset_reset="earliest", enable_auto_commit=False
        )
        consumer.assign(partitions)
        await consumer.start()
        try:
            pause_after_empty_fetches(consumer)
            ends = await consumer.end_offsets(partitions)
            found: list[Any] = []
            while [one for one in partitions if await consumer.position(one) < ends[one]]:
                for some in (await consumer.getmany(timeout_ms=100)).values():
                    found += some
            return found
        finally:
            await consumer.stop()

    return asyncio.run(read())


def events(couponry: Couponry, kind: str, count: int) -> str:
    """Return `count` example events, one per line, each with a different customer or order."""
    return "".join(
        couponry("example", kind, "--customer", f"c{number}", "--order", f"O{number}").out for number in range(count)
    )


def test_topics_are_created_once_and_shown_with_their_layout(couponry: Couponry, topic_prefix: str) -> None:
    first = couponry("topics", "create", "--json").json
    assert {one["state"] for one in first} == {"created"}
    layout = {one["name"]: (one["partitions"], one["retention_ms"], one["cleanup_policy"]) for one in first}
    assert layout[f"{topic_prefix}orders"] == (12, 14 * 24 * 60 * 60 * 1000, "delete")
    assert layout[f"{topic_prefix}couponry.relay-position"] == (1, -1, "compact")
    again = couponry("topics", "create").words
    assert "exists" in again
    assert "created" not in again
    assert "differs" not in again


def test_events_go_to_their_topics_with_their_keys(couponry: Couponry, topics: KafkaSettings, tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(events(couponry, "signup", 2) + events(couponry, "order", 3) + events(couponry, "paid", 1))
    published = couponry("publish", str(file), "--json").json
    assert published["by_topic"] == {"orders": 4, "signups": 2}
    assert sorted(record.key for record in records(topics, "signups")) == [b"c0", b"c1"]
    sent = records(topics, "orders")
    assert sorted(record.key for record in sent) == [b"O0", b"O0", b"O1", b"O2"]
    codec = Codec(topic_prefix=topics.topic_prefix)
    for one in sent:
        decoded = codec.decode(
            Record(one.topic, one.partition, one.offset, one.timestamp, one.key, one.value, one.headers)
        )
        assert decoded.subject == one.key.decode()
    assert couponry("publish", "-", given=events(couponry, "reward", 1)).words.startswith("Sent 1 event (1 to rewards)")


def test_the_newest_events_of_a_topic_are_printed_in_a_format_that_can_be_published(
    couponry: Couponry, topics: KafkaSettings
) -> None:
    assert couponry("events", "orders").out == ""
    sent = events(couponry, "order", 3)
    couponry("publish", "-", "--as-is", "--topic", "orders", given=f"{sent}nonsense\n")
    called = couponry("events", "orders")
    printed = [json.loads(line) for line in called.out.splitlines()]
    assert sorted(one["data"]["order_id"] for one in printed) == ["O0", "O1", "O2"]
    assert sorted(one["id"] for one in printed) == sorted(json.loads(line)["id"] for line in sent.splitlines())
    assert "1 record left out" in called.err
    assert couponry("publish", "-", given=called.out).words.startswith("Sent 3 events (3 to orders)")
    assert len(couponry("events", "orders", "--limit", "2").out.splitlines()) == 2
    unknown = couponry("events", "order")
    assert unknown.exit_code == 2
    assert "choose one of" in unknown.err


def test_a_file_with_invalid_lines_is_refused_with_their_numbers(couponry: Couponry, topics: KafkaSettings) -> None:
    good = events(couponry, "order", 2)
    issued = json.dumps({"specversion": "1.0", "id": "1", "source": "/x", "type": "coupon.issued", "data": {}})
    called = couponry("publish", "-", given=f"{good}\nnonsense\n{{}}\n{issued}\n")
    assert (called.exit_code, called.out) == (1, "")
    for line, problem in ((4, "No CloudEvent"), (5, "specversion: is missing"), (6, "coupon.issued is published by")):
        assert f"standard input, line {line}: {problem}" in called.err, called.err
    assert "3 lines of 5" in called.err
    assert records(topics, "orders") == []
    assert couponry("publish", "-", given="").exit_code == 1
    assert couponry("publish", "-", "--topic", "nope", given=good).exit_code == 2


def test_as_is_sends_unreadable_lines(couponry: Couponry, topics: KafkaSettings) -> None:
    without_topic = couponry("publish", "-", "--as-is", given=events(couponry, "order", 1) + "nonsense\n")
    assert without_topic.exit_code == 1
    assert "line 2" in without_topic.err
    assert records(topics, "orders") == []
    assert couponry("publish", "-", "--as-is", "--topic", "orders", given="nonsense\n").exit_code == 0
    assert [record.value for record in records(topics, "orders")] == [b"nonsense"]


def test_dead_letters_are_listed_shown_and_sent_again(couponry: Couponry, topics: KafkaSettings) -> None:
    orders, rewards = topics.topic("orders"), topics.topic("rewards")
    letter = Record(orders, 3, 17, 1_700_000_000_000, b"O1", b'{"order_id": "O1"}', (("ce_type", b"order.placed"),))
    other = Record(rewards, 0, 2, 1_700_000_000_000, None, b"\xff", ())

    async def bury() -> None:
        for service, record, error in (("redeemer", letter, "bad_data"), ("issuer", other, "bad_envelope")):
            queue = DeadLetterQueue(topics, service)
            await queue.bury([Letter(record, error, "It is so.")])
            await queue.stop()

    assert couponry("dlq", "list").words == "No dead letters."
    asyncio.run(bury())
    listed = couponry("dlq", "list", "--json").json
    assert [one["letter"] for one in listed] == [f"{orders}.redeemer.dlq/0/0", f"{rewards}.issuer.dlq/0/0"]
    assert [one["value"] for one in listed] == ['{"order_id": "O1"}', "\\xff"]
    assert len(couponry("dlq", "list", "--topic", "orders", "--json").json) == 1
    assert len(couponry("dlq", "list", "--error", "bad_envelope", "--json").json) == 1
    assert couponry("dlq", "list", "--topic", "nope").exit_code == 2
    shown = couponry("dlq", "show", f"{orders}.redeemer.dlq/0/0").words
    for part in ("orders/3/17", "bad_data", "It is so.", "header ce_type", "order.placed", '"order_id": "O1"'):
        assert part in shown
    assert couponry("dlq", "show", f"{orders}.redeemer.dlq/0/9").exit_code == 1
    assert couponry("dlq", "replay").exit_code == 2
    assert couponry("dlq", "replay", "--all", "--topic", "orders").words.startswith("1 record sent")
    [again] = records(topics, "orders")
    assert (again.key, again.value, again.headers) == (letter.key, letter.value, letter.headers)
    assert couponry("dlq", "replay", f"{rewards}.issuer.dlq/0/0", "--json").json == {"sent": 1, "left_out": 0}


def test_an_unavailable_broker_is_reported_in_one_line(environment: dict[str, str]) -> None:
    away = {**environment, "COUPONRY_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    order = call(away, "example", "order").out
    for arguments in (("topics", "create"), ("dlq", "list"), ("publish", "-")):
        called = call(away, *arguments, given=order)
        assert (called.exit_code, called.out, called.err.count("\n")) == (1, "", 1), called
        assert "The broker doesn't answer at 127.0.0.1:1" in called.err


def test_events_that_are_never_published_are_named_when_waiting_ends(topics: KafkaSettings, database_url: str) -> None:
    async def watch() -> str:
        async with ledger(database_url, definition()) as pool:
            await issue(Engine(pool), "save10", 2)
        async with (
            await open_pool(database_url) as pool,
            StreamReader(topics) as reader,
            Watcher(topics, pool, reader, patience_seconds=0.5) as watcher,
        ):
            with pytest.raises(CommandFailedError) as raised:
                await watcher.until_handled(lambda _: None)
            return str(raised.value)

    assert "2 events of the ledger were not read back" in asyncio.run(watch())
