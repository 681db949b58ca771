"""Avro bodies: the Confluent wire format (0x00, 4-byte schema id, body), or the bare body of a committed schema.

The writer's schema is found by its id if a registry is configured, otherwise by the record's `ce_dataschema`.
No event's first field can be empty, so no bare body starts with 0x00 and the two formats can't be confused.
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
from schemas.registry import (
    AvroSchema,
    SchemaRegistry,
    SchemaRegistryUnavailableError,
    UnknownSchemaError,
    named_schema,
    newest_schema,
)
from shared.messaging.avro_guard import AvroLimitError, GuardedSchema, guarded
from shared.messaging.avro_values import from_avro, plan_of, to_avro

MAGIC: Final = 0
FRAME_BYTES: Final = 5
MAX_PARSED: Final = 1_000
"""The most parsed schemas kept. Ids come from outside, so the cache needs a limit."""


class AvroBodies:
    """Reads and writes Avro bodies. Without a registry, bodies are bare and `ce_dataschema` names their schema."""

    def __init__(self, registry: SchemaRegistry | None = None) -> None:
        self._registry = registry
        self._parsed: dict[tuple[str, str], Any] = {}
        self._guarded: dict[int, GuardedSchema | InvalidDocumentError] = {}
        self._frames: dict[str, bytes] = {}

    def to_json(self, body: bytes, type_name: str, dataschema: str | None) -> bytes:
        """Return an Avro body as JSON, to be validated like any other.

        Raises InvalidDocumentError, or SchemaRegistryUnavailableError (the body itself may be fine).
        """
        framed = body[0] == MAGIC
        try:
            schema = self._schema_of(body, type_name, dataschema)
        except AvroLimitError as error:
            raise InvalidDocumentError(f"The Avro body can't be read: {error}.") from None
        stream = BytesIO(body[FRAME_BYTES:] if framed else body)
        try:
            value = fastavro.schemaless_reader(stream, schema, None)
            trailing = stream.read(1)
            from_avro(plan_of(BY_TYPE[type_name].model), value)
            document = orjson.dumps(value, default=_plain)
        except InvalidDocumentError:
            raise
        except Exception:  # any error that arbitrary bytes cause in the decoder means that they can't be read
            raise InvalidDocumentError("The Avro body is truncated or does not match its schema.") from None
        if trailing:
            raise InvalidDocumentError("The Avro body has extra bytes after the fields of its schema.")
        return document

    def from_json(self, data_json: bytes, type_name: str, topic: str) -> tuple[bytes, str | None]:
        """Return an event's JSON as an Avro body, and the `ce_dataschema` it needs (None if a registry has it).

        Raises SchemaRegistryUnavailableError, or UnknownSchemaError if the registry refuses the schema.
        """
        name, schema = newest_schema(type_name)
        parsed = self._parsed.get((type_name, name)) or self._parse((type_name, name), schema)
        model: type[Event] = BY_TYPE[type_name].model
        stream = BytesIO()
        value = model.model_validate_json(data_json).model_dump()
        to_avro(plan_of(model), value)
        # The models use tuples for lists; without this option a tuple would name the branch of a union.
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
            raise InvalidDocumentError("The Avro body is truncated within its schema id.")
        if framed and self._registry is not None:
            found = self._by_id(self._registry, int.from_bytes(body[1:FRAME_BYTES], "big"))
            found.check(body[FRAME_BYTES:])
            return found.parsed
        if dataschema is not None:
            return self._by_name(dataschema, type_name)
        if framed:
            raise InvalidDocumentError(
                "The Avro body names its schema by an id, but no schema registry is configured; "
                "set COUPONRY_SCHEMA_REGISTRY_URL or send ce_dataschema."
            )
        raise InvalidDocumentError(
            f'ce_dataschema: is missing; send "{newest_schema(type_name)[0]}" or use the Confluent wire format.'
        )

    def _by_id(self, registry: SchemaRegistry, schema_id: int) -> GuardedSchema:
        found = self._guarded.get(schema_id)
        if found is None:
            try:
                found = guarded(registry.schema(schema_id))
            except UnknownSchemaError:
                raise InvalidDocumentError(f"The schema registry has no schema with the id {schema_id}.") from None
            except SchemaRegistryUnavailableError:
                raise
            except AvroLimitError as error:
                found = InvalidDocumentError(f"The Avro body's schema is refused: {error}.")
            except Exception:  # a registry holds schemas of others; without a valid schema the body is unreadable
                found = InvalidDocumentError("The Avro body's schema is not valid.")
            if len(self._guarded) >= MAX_PARSED:
                self._guarded.clear()
            self._guarded[schema_id] = found
        if isinstance(found, InvalidDocumentError):
            raise InvalidDocumentError(str(found))
        return found

    def _by_name(self, dataschema: str, type_name: str) -> Any:
        parsed = self._parsed.get((type_name, dataschema))
        if parsed is None:
            try:
                named_type, schema = named_schema(dataschema)
            except UnknownSchemaError as error:
                raise InvalidDocumentError(f"ce_dataschema: {error}.") from None
            if named_type != type_name:
                raise InvalidDocumentError(f"ce_dataschema: is a schema of {named_type}, but ce_type is {type_name}.")
            parsed = self._parse((type_name, dataschema), schema)
        return parsed

    def _parse(self, key: tuple[str, str], schema: AvroSchema) -> Any:
        try:
            parsed: Any = fastavro.parse_schema(schema)
        except Exception:  # a registry holds schemas of others; without a valid schema the body is unreadable
            raise InvalidDocumentError("The Avro body's schema is not valid.") from None
        if len(self._parsed) >= MAX_PARSED:
            self._parsed.clear()
        self._parsed[key] = parsed
        return parsed


def _plain(value: Any) -> str:
    """Return a value of an Avro logical type as text for JSON. Decimals keep their digits."""
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, UUID | date | datetime):
        return str(value)
    raise TypeError(type(value).__name__)
