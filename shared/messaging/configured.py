"""The codec as the settings say: the topics' prefix, the schema registry, the format of what is written."""

from shared.messaging.codec import Codec
from shared.runtime.schema_registry import HttpSchemaRegistry
from shared.runtime.settings import KafkaSettings


def codec_of(settings: KafkaSettings) -> Codec:
    """A codec for this installation. Asks nothing of the registry yet, which may be away until the first Avro body."""
    url = settings.schema_registry_url
    return Codec(
        topic_prefix=settings.topic_prefix,
        registry=None if url is None else HttpSchemaRegistry(url),
        event_format=settings.event_format,
    )
