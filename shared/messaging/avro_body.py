"""Avro bodies: the Confluent wire format (0x00, 4-byte schema id, body), or the bare body of a committed schema.

Which schema wrote a body is found by its id where a registry is configured, else by the record's `ce_dataschema`.
No event's first field can be empty, so no bare body starts with 0x00 and the two can't be taken for each other.
"""

from datetime import date, datetime
from decimal import Decimal
from io import BytesIO
from typing import Any, Final
from uuid import UUID

import fastavro
import orjson

from schemas.catalogue import BY_TYPE
from schemas.common import Event
from schemas.parsing import InvalidDocumentError
from schemas.registry import AvroSchema, SchemaRegistry, UnknownSchemaError, named_schema, newest_schema
from shared.messaging.avro_schemas import UnsafeSchemaError, check_schema
from shared.messaging.avro_values import from_avro, plan_of, to_avro

MAGIC: Final = 0
FRAME_BYTES: Final = 5
MAX_PARSED: Final = 1_000
"""Most schemas kept parsed. Ids come from outside; a registry with more than this is not one topic's."""


class AvroBodies:
    """Reads and writes Avro bodies. Without a registry, bodies are bare and `ce_dataschema` names their schema."""

    def __init__(self, registry: SchemaRegistry | None = None) -> None:
        self._registry = registry
        self._parsed: dict[int | tuple[str, str], Any] = {}
        self._frames: dict[str, bytes] = {}

    def to_json(self, body: bytes, type_name: str, dataschema: str | None) -> bytes:
        """An Avro body as JSON, to be judged like any other.

        Raises InvalidDocumentError, and SchemaRegistryUnavailableError, which says nothing about the body.
        """
        framed = body[0] == MAGIC
        schema = self._schema_of(body, type_name, dataschema)
        stream = BytesIO(body[FRAME_BYTES:] if framed else body)
        try:
            value = fastavro.schemaless_reader(stream, schema, None)
            rest = stream.read(1)
            from_avro(plan_of(BY_TYPE[type_name].model), value)
            document = orjson.dumps(value, default=_plain)
        except InvalidDocumentError:
            raise
        except Exception:  # whatever arbitrary bytes make of a decoder, it means that they can't be read
            raise InvalidDocumentError("The Avro body is cut short or does not fit its schema.") from None
        if rest:
            raise InvalidDocumentError("The Avro body is longer than its schema says.")
        return document

    def from_json(self, data_json: bytes, type_name: str, topic: str) -> tuple[bytes, str | None]:
        """An event's JSON as an Avro body, and the `ce_dataschema` that it needs (None where a registry knows it).

        Raises SchemaRegistryUnavailableError, UnknownSchemaError where the registry refuses the schema.
        """
        name, schema = newest_schema(type_name)
        parsed = self._parsed.get((type_name, name)) or self._parse((type_name, name), schema)
        model: type[Event] = BY_TYPE[type_name].model
        stream = BytesIO()
        value = model.model_validate_json(data_json).model_dump()
        to_avro(plan_of(model), value)
        # Lists are tuples in the models, and a tuple would else name the branch of a union.
        fastavro.schemaless_writer(stream, parsed, value, disable_tuple_notation=True)
        if self._registry is None:
            return stream.getvalue(), name
        frame = self._frames.get(f"{topic}-{type_name}")
        if frame is None:
            # One topic carries several types, so the subject names both: Confluent's TopicRecordNameStrategy.
            subject = f"{topic}-{schema['namespace']}.{schema['name']}"
            schema_id = self._registry.register(subject, schema)
            frame = bytes([MAGIC]) + schema_id.to_bytes(4, "big")
            self._frames[f"{topic}-{type_name}"] = frame
        return frame + stream.getvalue(), None

    def _schema_of(self, body: bytes, type_name: str, dataschema: str | None) -> Any:
        framed = body[0] == MAGIC
        if framed and len(body) <= FRAME_BYTES:
            raise InvalidDocumentError("The Avro body ends within its schema id.")
        if framed and self._registry is not None:
            return self._by_id(self._registry, int.from_bytes(body[1:FRAME_BYTES], "big"))
        if dataschema is not None:
            return self._by_name(dataschema, type_name)
        if framed:
            raise InvalidDocumentError(
                "The Avro body names its schema by an id, and no schema registry is configured; "
                "set COUPONRY_SCHEMA_REGISTRY_URL, or send ce_dataschema."
            )
        raise InvalidDocumentError(
            f'ce_dataschema: is missing; send "{newest_schema(type_name)[0]}", or the Confluent wire format.'
        )

    def _by_id(self, registry: SchemaRegistry, schema_id: int) -> Any:
        parsed = self._parsed.get(schema_id)
        if parsed is not None:
            return parsed
        try:
            return self._parse(schema_id, registry.schema(schema_id))
        except UnknownSchemaError:
            raise InvalidDocumentError(f"The schema registry knows no schema of the id {schema_id}.") from None

    def _by_name(self, dataschema: str, type_name: str) -> Any:
        parsed = self._parsed.get((type_name, dataschema))
        if parsed is None:
            try:
                named_type, schema = named_schema(dataschema)
            except UnknownSchemaError as error:
                raise InvalidDocumentError(f"ce_dataschema: {error}.") from None
            if named_type != type_name:
                raise InvalidDocumentError(
                    f"ce_dataschema: names a schema of {named_type}, but ce_type is {type_name}."
                )
            parsed = self._parse((type_name, dataschema), schema)
        return parsed

    def _parse(self, key: int | tuple[str, str], schema: AvroSchema) -> Any:
        try:
            check_schema(schema)
            parsed: Any = fastavro.parse_schema(schema)
        except UnsafeSchemaError as error:
            raise InvalidDocumentError(f"The schema that the Avro body names {error}.") from None
        except Exception:  # a registry holds what others put in; without a valid schema the body is unreadable
            raise InvalidDocumentError("The schema that the Avro body names is not valid.") from None
        if len(self._parsed) >= MAX_PARSED:
            self._parsed.clear()
        self._parsed[key] = parsed
        return parsed


def _plain(value: Any) -> str:
    """Avro's logical types that JSON has no word for. Decimals keep their digits."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, UUID | date | datetime):
        return str(value)
    raise TypeError(type(value).__name__)
