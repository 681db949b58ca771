"""Avro schemas, from the files of this folder or from a schema registry.

A schema in this folder is named `urn:couponry:<type>:v<version>`, the value of `ce_dataschema`. Any URI with the same
ending (`https://…/order.placed/v1.avsc`) names the same schema.

The newest version of a type is in `avro/<type>.avsc`, older ones are in `avro/older/<type>.v<version>.avsc`.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

AvroSchema = dict[str, Any]
"""An Avro record schema as a JSON document."""

_NAME: Final = re.compile(r"(?:.*[:/])?([a-z_.]{1,100})[:/]v([0-9]{1,4})(?:\.avsc)?")
_OLDER_FILE: Final = re.compile(r"(.+)\.v([0-9]+)\.avsc")


class UnknownSchemaError(LookupError):
    """The schema doesn't exist. A retry doesn't help."""


class SchemaRegistryUnavailableError(Exception):
    """The schema registry is unavailable (transient). The record may be fine; retry later."""


class SchemaRegistry(Protocol):
    """A schema registry for the Confluent wire format."""

    def schema(self, schema_id: int) -> AvroSchema:
        """Return the schema with that id. Raises UnknownSchemaError, SchemaRegistryUnavailableError."""
        ...

    def register(self, subject: str, schema: AvroSchema) -> int:
        """Return the id of `schema` under `subject`; register it if it is new.

        Raises UnknownSchemaError if the registry refuses it, SchemaRegistryUnavailableError.
        """
        ...


def committed_schemas() -> Mapping[str, Mapping[int, AvroSchema]]:
    """Return every schema of this folder: type → version → schema, versions ascending."""
    return _committed_schemas()


@cache
def _committed_schemas() -> dict[str, dict[int, AvroSchema]]:
    folder = files(__package__) / "avro"
    older = folder / "older"
    found: dict[str, dict[int, AvroSchema]] = {}
    for file in older.iterdir() if older.is_dir() else ():
        if match := _OLDER_FILE.fullmatch(file.name):
            found.setdefault(match[1], {})[int(match[2])] = json.loads(file.read_text("utf-8"))
    for file in folder.iterdir():
        if file.name.endswith(".avsc"):
            versions = found.setdefault(file.name.removesuffix(".avsc"), {})
            versions[max(versions, default=0) + 1] = json.loads(file.read_text("utf-8"))
    return {type_name: dict(sorted(versions.items())) for type_name, versions in found.items()}


def newest_schema(type_name: str) -> tuple[str, AvroSchema]:
    """Return the newest schema of a type and its name, the value of `ce_dataschema`."""
    version, schema = max(committed_schemas()[type_name].items())
    return f"urn:couponry:{type_name}:v{version}", schema


def named_schema(name: str) -> tuple[str, AvroSchema]:
    """Return the type and the schema named by a `ce_dataschema`. Raises UnknownSchemaError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownSchemaError('is not the name of a schema; write it as "urn:couponry:order.placed:v1"')
    type_name, version = match[1], int(match[2])
    versions = committed_schemas().get(type_name)
    if versions is None or version not in versions:
        raise UnknownSchemaError("names an unknown type or version")
    return type_name, versions[version]
