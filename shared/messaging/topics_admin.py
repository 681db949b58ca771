"""Create the topics defined in `schemas.topics` and report differences of existing ones. Existing ones never change."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, NoError, TopicAlreadyExistsError, for_code

from schemas.topics import Topic, all_topics
from shared.messaging.connection import client_options
from shared.runtime.errors import OperatorError
from shared.runtime.settings import KafkaSettings

ADMIN_SECONDS: Final = 30.0
BROKERS_DEFAULT: Final = -1


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of an existing topic: `what` is "partitions" or a Kafka configuration name."""

    topic: str
    what: str
    wanted: str
    found: str


LEADER_PAUSE_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class TopicsReport:
    """The result of `create_topics`, with the broker's topic names."""

    created: list[str] = field(default_factory=list)
    existing: list[str] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)


async def create_topics(settings: KafkaSettings, *, replication_factor: int = BROKERS_DEFAULT) -> TopicsReport:
    """Create every missing topic of the installation. Existing ones are unchanged and compared.

    Raises:
        OperatorError: the broker refuses to create a topic; the text says which and why.
        KafkaError, TimeoutError: the broker is unavailable.
    """
    topics = list(all_topics(settings.topic_prefix))
    async with _admin(settings) as admin:
        found = {topic["topic"] for topic in await admin.describe_topics()}
        created = await _create(admin, [topic for topic in topics if topic.name not in found], replication_factor)
        await _until_led(admin, set(created))
        existing = [topic for topic in topics if topic.name not in created]
        return TopicsReport(
            created=created,
            existing=[topic.name for topic in existing],
            differences=await _differences(admin, existing),
        )


async def partitions_of(settings: KafkaSettings, topic: str) -> list[int]:
    """Return the partition numbers of a topic (the broker's name), ascending.

    Raises:
        OperatorError: the topic doesn't exist.
        KafkaError, TimeoutError: the broker is unavailable.
    """
    async with _admin(settings) as admin:
        for described in await admin.describe_topics():  # naming one topic here would create it on some brokers
            if described["topic"] == topic:
                return sorted(partition["partition"] for partition in described["partitions"])
    raise OperatorError(f"Topic {topic} does not exist; create it with `couponry topics create`.")


async def _create(admin: AIOKafkaAdminClient, topics: Sequence[Topic], replication_factor: int) -> list[str]:
    if not topics:
        return []
    # The client takes either numbers or an assignment of replicas. For -1, the broker's default, it requires an
    # assignment, which may be empty. On the wire both are the same.
    assignments: dict[int, list[int]] | None = {} if replication_factor == BROKERS_DEFAULT else None
    wanted = [NewTopic(topic.name, topic.partitions, replication_factor, assignments, topic.config) for topic in topics]
    response = await admin.create_topics(wanted)
    created = []
    for name, code, *text in response.topic_errors:
        error = for_code(code)
        if error is NoError:
            created.append(name)
        elif error is not TopicAlreadyExistsError:  # created by another process in the meantime
            why = (text[0] if text and text[0] else error.__name__).rstrip(".")
            raise OperatorError(f"Topic {name} could not be created: {why}.")
    return created


async def _until_led(admin: AIOKafkaAdminClient, created: set[str]) -> None:
    """Wait until every partition has a leader: a broker reports a topic as created before that.

    The connection's timeout limits the wait.
    """
    while created:
        for topic in await admin.describe_topics():
            if topic["error_code"] == 0 and all(partition["leader"] >= 0 for partition in topic["partitions"]):
                created.discard(topic["topic"])
        if created:
            await asyncio.sleep(LEADER_PAUSE_SECONDS)


async def _differences(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> list[Difference]:
    if not topics:
        return []
    described = {topic["topic"]: topic for topic in await admin.describe_topics()}
    configs = await _configs(admin, topics)
    differences = []
    for topic in topics:
        wanted = {"partitions": str(topic.partitions), **topic.config}
        partitions = len(described[topic.name]["partitions"]) if topic.name in described else 0
        found = {"partitions": str(partitions), **configs.get(topic.name, {})}
        differences += [
            Difference(topic.name, what, value, found.get(what, "unknown"))
            for what, value in wanted.items()
            if found.get(what) != value
        ]
    return differences


async def _configs(admin: AIOKafkaAdminClient, topics: Sequence[Topic]) -> dict[str, dict[str, str]]:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=dict.fromkeys(topic.config)) for topic in topics
    ]
    found: dict[str, dict[str, str]] = {}
    for response in await admin.describe_configs(resources):
        for code, text, _kind, name, entries in response.resources:
            if for_code(code) is not NoError:
                raise KafkaError(f"the configuration of topic {name} can't be read: {text}")
            found[name] = {entry[0]: entry[1] for entry in entries}
    return found


@asynccontextmanager
async def _admin(settings: KafkaSettings) -> AsyncIterator[Any]:
    admin = AIOKafkaAdminClient(**client_options(settings, "couponry-admin"))
    async with asyncio.timeout(ADMIN_SECONDS):
        try:
            await admin.start()
            yield admin
        finally:
            await admin.close()
