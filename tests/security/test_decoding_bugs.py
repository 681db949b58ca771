"""A bug of the codec about one record costs that record; a bug about all records stops the service."""

import pytest
from prometheus_client import REGISTRY

from shared.messaging.codec import Codec
from shared.messaging.consumer import ConsumerLoop
from shared.messaging.records import ReceivedEvent, Record
from shared.messaging.topics_admin import create_topics
from shared.runtime.settings import Settings
from tests.integration.kafka_tools import order_event, write_all
from tests.integration.test_consumer import QUICK, Remembers, committed_count, dead_letters, running, until

pytestmark = pytest.mark.broker


class Fragile(Codec):
    """A codec with a bug about values that contain `marker`."""

    def __init__(self, prefix: str, marker: bytes, error: type[Exception]) -> None:
        super().__init__(topic_prefix=prefix)
        self._marker = marker
        self._error = error

    def decode(self, record: Record) -> ReceivedEvent:
        if self._marker in (record.value or b""):
            raise self._error("a bug")
        return super().decode(record)


@pytest.fixture
async def settings(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    await create_topics(settings)
    return settings


def consumer(settings: Settings, handler: Remembers, marker: bytes, error: type[Exception]) -> ConsumerLoop:
    codec = Fragile(settings.topic_prefix, marker, error)
    return ConsumerLoop(settings, "redeemer", ["orders"], handler, backoff=QUICK, codec=codec)


def counted() -> float:
    return REGISTRY.get_sample_value("couponry_bugs_total", {"where": "decoding"}) or 0


@pytest.mark.parametrize("error", [RecursionError, MemoryError, KeyError])
async def test_a_bug_about_one_record_makes_a_dead_letter_of_it_alone(
    settings: Settings, error: type[Exception]
) -> None:
    topic = settings.topic("orders")
    values = [order_event(1), order_event(66), order_event(2), order_event(66), order_event(3)]
    await write_all(settings, [(topic, b"key", value, 0) for value in values])
    handler, before = Remembers(), counted()
    async with running(consumer(settings, handler, b"ORD66", error)) as task:
        await until(lambda: len(handler.order_ids) == 3, task)
    assert handler.order_ids == ["ORD1", "ORD2", "ORD3"]
    assert [(one.record.offset, one.error_class) for one in await dead_letters(settings)] == [(1, "bug"), (3, "bug")]
    assert counted() == before + 2
    assert await committed_count(settings) == 5


async def test_single_records_with_a_bug_delay_no_other(settings: Settings) -> None:
    topic = settings.topic("orders")
    await write_all(settings, [(topic, b"key", order_event(66), 0)] * 3)
    handler = Remembers()
    async with running(consumer(settings, handler, b"ORD66", RecursionError)) as task:

        async def done() -> bool:
            return await committed_count(settings) == 3

        for _ in range(200):
            if await done() or task.done():
                break
        assert not task.done()
    assert len(await dead_letters(settings)) == 3


async def test_a_bug_about_everything_commits_nothing_and_ends_the_loop(settings: Settings) -> None:
    topic = settings.topic("orders")
    await write_all(settings, [(topic, b"key", order_event(number), 0) for number in range(5)])
    loop = consumer(settings, Remembers(), b"specversion", RecursionError)
    with pytest.raises(RecursionError):
        async with running(loop) as task:
            await until(lambda: False, task)
    assert await committed_count(settings) == 0
    assert await dead_letters(settings) == []
