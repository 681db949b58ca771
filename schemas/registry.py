"""Where Avro schemas come from: the files beside this one, or a schema registry.

A schema that is committed here is named `urn:couponry:<type>:v<version>`, and that is what `ce_dataschema` says.
Any URI that ends alike (`https://…/order.placed/v1.avsc`) names the same.

The newest version of a type stands in `avro/<type>.avsc`, each older one in `avro/older/<type>.v<version>.avsc`.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final, Protocol

AvroSchema = dict[str, Any]
"""An Avro record schema, as its JSON says it."""

_NAME: Final = re.compile(r"(?:.*[:/])?([a-z_.]{1,100})[:/]v([0-9]{1,4})(?:\.avsc)?")
_OLDER_FILE: Final = re.compile(r"(.+)\.v([0-9]+)\.avsc")


class UnknownSchemaError(LookupError):
    """There is no such schema, and asking again would not change that."""


class SchemaRegistryUnavailableError(Exception):
    """The schema registry gave no answer: transient. Nothing is wrong with the record; try again later."""


class SchemaRegistry(Protocol):
    """A schema registry as the Confluent wire format needs it."""

    def schema(self, schema_id: int) -> AvroSchema:
        """The schema of that id. Raises UnknownSchemaError, SchemaRegistryUnavailableError."""
        ...

    def register(self, subject: str, schema: AvroSchema) -> int:
        """The id of `schema` under `subject`, entered when new.

        Raises UnknownSchemaError where the registry refuses it, SchemaRegistryUnavailableError.
        """
        ...


def committed_schemas() -> Mapping[str, Mapping[int, AvroSchema]]:
    """Every committed schema: type → version → schema, versions ascending."""
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
    """The name (as `ce_dataschema` says it) and the schema that events of this type are written with."""
    version, schema = max(committed_schemas()[type_name].items())
    return f"urn:couponry:{type_name}:v{version}", schema


def named_schema(name: str) -> tuple[str, AvroSchema]:
    """The type and the schema that a `ce_dataschema` names. Raises UnknownSchemaError."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise UnknownSchemaError('names no schema that is committed; write it as "urn:couponry:order.placed:v1"')
    type_name, version = match[1], int(match[2])
    versions = committed_schemas().get(type_name)
    if versions is None or version not in versions:
        raise UnknownSchemaError("names a type or version that is not among the committed schemas")
    return type_name, versions[version]
