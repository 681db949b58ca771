"""Build the codec from the settings: the topics' prefix, the schema registry, the format of written events."""

from shared.messaging.codec import Codec
from shared.runtime.schema_registry import HttpSchemaRegistry
from shared.runtime.settings import KafkaSettings


def codec_of(settings: KafkaSettings) -> Codec:
    """Return the codec for this installation. The registry is first called for the first Avro body."""
    url = settings.schema_registry_url
    return Codec(
        topic_prefix=settings.topic_prefix,
        registry=None if url is None else HttpSchemaRegistry(url),
        event_format=settings.event_format,
    )
