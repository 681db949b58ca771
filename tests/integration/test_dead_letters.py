"""Dead letters on a real broker: records are kept completely and can be replayed."""

import pytest

from schemas.topics import all_topics
from shared.messaging.dead_letters import DeadLetterQueue, Letter, list_dead_letters, replay
from shared.messaging.records import Record
from shared.messaging.topics_admin import create_topics
from shared.runtime.errors import OperatorError
from shared.runtime.settings import Settings
from tests.integration.kafka_tools import read_all

pytestmark = pytest.mark.broker


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return Settings()


def record(settings: Settings, offset: int, value: bytes | None, key: bytes | None = b"k") -> Record:
    return Record(settings.topic("orders"), 3, offset, 1_700_000_000_000, key, value, (("a", b"\xff"), ("a", b"2")))


async def test_topics_are_created_once_and_differences_reported(settings: Settings) -> None:
    first = await create_topics(settings)
    assert sorted(first.created) == sorted(topic.name for topic in all_topics(settings.topic_prefix))
    again = await create_topics(settings)
    assert again.created == []
    assert sorted(again.existing) == sorted(first.created)
    assert again.differences == []


async def test_a_dead_letter_keeps_the_raw_record_and_the_error(settings: Settings) -> None:
    await create_topics(settings)
    queue = DeadLetterQueue(settings, "redeemer")
    records = [record(settings, 7, b"\x00\xff{"), record(settings, 8, None), record(settings, 9, b"x", None)]
    await queue.bury([Letter(one, "NotJson", "broken at 1") for one in records])
    await queue.stop()
    letters = await list_dead_letters(settings, settings.topic("orders.redeemer.dlq"))
    assert [letter.record for letter in letters] == records
    assert {(letter.service, letter.error_class, letter.error_text) for letter in letters} == {
        ("redeemer", "NotJson", "broken at 1")
    }


async def test_a_record_that_becomes_a_dead_letter_twice_is_listed_once(settings: Settings) -> None:
    await create_topics(settings)
    queue = DeadLetterQueue(settings, "redeemer")
    for _ in range(2):
        await queue.bury([Letter(record(settings, 7, b"x"), "NotJson", "broken")])
    await queue.stop()
    assert len(await list_dead_letters(settings, settings.topic("orders.redeemer.dlq"))) == 1


async def test_a_record_too_large_to_be_written_again_becomes_a_dead_letter_without_its_value(
    settings: Settings,
) -> None:
    await create_topics(settings)
    queue = DeadLetterQueue(settings, "redeemer")
    large = record(settings, 7, b"x" * 2_000_000)
    await queue.bury([Letter(record(settings, 6, b"before"), "NotJson", "broken")])
    await queue.bury([Letter(large, "TooLong", "2 MB"), Letter(record(settings, 8, b"small"), "NotJson", "broken")])
    await queue.stop()
    by_offset = {
        letter.record.offset: letter
        for letter in await list_dead_letters(settings, settings.topic("orders.redeemer.dlq"))
    }
    assert by_offset[7].value_omitted
    assert by_offset[7].record.key == b"k"
    assert by_offset[8].record.value == b"small"
    assert sorted(by_offset) == [6, 7, 8]


async def test_a_replayed_letter_is_unchanged_in_its_topic(settings: Settings) -> None:
    await create_topics(settings)
    queue = DeadLetterQueue(settings, "redeemer")
    lost = record(settings, 7, b"fixed since")

    await queue.bury([Letter(lost, "NotJson", "broken")])
    await queue.stop()
    letters = await list_dead_letters(settings, settings.topic("orders.redeemer.dlq"))
    assert await replay(settings, letters) == 1
    [found] = await read_all(settings, settings.topic("orders"))
    assert (found.key, found.value, tuple(found.headers)) == (lost.key, lost.value, lost.headers)


async def test_a_missing_topic_is_reported_in_a_sentence(settings: Settings) -> None:
    with pytest.raises(OperatorError, match="does not exist"):
        await list_dead_letters(settings, settings.topic("orders.redeemer.dlq"))
