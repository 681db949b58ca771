"""Generate the schema files from the models: `python -m schemas.generate`.

    python -m schemas.generate           write changed files; the committed Avro schema becomes an older version
    python -m schemas.generate --amend   the same, but overwrite the newest Avro version (only if it isn't released yet)
    python -m schemas.generate --check   write nothing; exit 1 and list the files that are out of date

Avro: `avro/<type>.avsc`, with older versions in `avro/older/`. JSON Schema: `json/<type>.schema.json` and
`json/campaign.schema.json`. Services must not import this module: its Avro generator is a development dependency.
"""

import argparse
import json
import sys
import types as python_types
from collections.abc import Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from dataclasses_avroschema import types
from dataclasses_avroschema.pydantic import AvroBaseModel
from pydantic import BaseModel, JsonValue, create_model

from schemas.campaigns import CampaignDefinition
from schemas.catalogue import CATALOGUE
from schemas.common import DECIMAL_SUFFIX, JSON_SUFFIX, BlankInAvro, holds_json, holds_quantity
from schemas.registry import AvroSchema, committed_schemas

FOLDER = Path(__file__).parent
NAMESPACE = "couponry"
JSON_SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


class _Mirror(AvroBaseModel):
    class Meta:
        schema_doc = False


@cache
def _mirror(model: type[BaseModel]) -> type[AvroBaseModel]:
    """Return a copy of the model in types that the Avro generator knows, without limits, which Avro doesn't have."""
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if any(isinstance(mark, BlankInAvro) for mark in field.metadata):
            fields[name] = (str, ...)
            continue
        if holds_quantity(field.metadata):
            fields[name] = (int, ...)
            fields[name + DECIMAL_SUFFIX] = (str | None, None)
            continue
        fields[name] = (_avro_type(field.annotation), ... if field.is_required() else field.default)
        if holds_json(field.annotation):
            fields[name + JSON_SUFFIX] = (str | None, None)
    mirror: type[AvroBaseModel] = create_model(getattr(model, "avro_name", model.__name__), __base__=_Mirror, **fields)
    return mirror


def _avro_type(annotation: Any) -> Any:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _avro_type(arguments[0])
    if origin in (Union, python_types.UnionType):
        # null first: Avro requires the default's type first, and optional fields default to null.
        members = sorted(arguments, key=lambda member: member is not type(None))
        return Union[tuple(_avro_type(member) for member in members)]  # noqa: UP007 - made at run time
    if origin is tuple:
        return list[_avro_type(arguments[0])]  # type: ignore[misc]
    if origin is dict:
        return dict[str, _avro_type(arguments[1])]  # type: ignore[misc]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _mirror(annotation)
    return _avro_scalar(annotation)


def _avro_scalar(annotation: Any) -> Any:
    if get_origin(annotation) is Literal:
        return str  # a new member of an Avro enum would break its readers
    if annotation is datetime:
        return types.DateTimeMicro
    if annotation is JsonValue:
        return Union[None, bool, int, float, str]  # noqa: UP007 - nested values are JSON text in a field of their own
    return annotation


def avro_schema(model: type[BaseModel]) -> AvroSchema:
    """Return the Avro record of a model: amounts are strings, times are timestamp-micros in UTC."""
    schema: AvroSchema = json.loads(_mirror(model).avro_schema())
    return {"type": "record", "name": schema["name"], "namespace": NAMESPACE, "fields": _tidied(schema["fields"])}


def _tidied(node: Any) -> Any:
    # The generator names arrays and maps, which Avro doesn't allow.
    if isinstance(node, list):
        return [_tidied(member) for member in node]
    if isinstance(node, dict):
        return {
            key: _tidied(value)
            for key, value in node.items()
            if not (key == "name" and node.get("type") in ("array", "map"))
        }
    return node


def json_schema(model: type[BaseModel], name: str) -> dict[str, Any]:
    """Return the JSON Schema of the documents that this model accepts."""
    return {"$schema": JSON_SCHEMA_DIALECT, "$id": f"urn:couponry:json:{name}", **model.model_json_schema()}


def generated() -> Iterator[tuple[Path, str, str]]:
    """Yield every expected file: its path, its text, and the event type of an Avro schema, otherwise ""."""
    for entry in CATALOGUE:
        yield FOLDER / "avro" / f"{entry.name}.avsc", _text(avro_schema(entry.model)), entry.name
        yield FOLDER / "json" / f"{entry.name}.schema.json", _text(json_schema(entry.model, entry.name)), ""
    yield FOLDER / "json" / "campaign.schema.json", _text(json_schema(CampaignDefinition, "campaign")), ""


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def out_of_step() -> list[Path]:
    """Return the files that differ from the models, are missing, or belong to no event."""
    wanted = {path: text for path, text, _ in generated()}
    differing = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    present = [*(FOLDER / "avro").glob("*.avsc"), *(FOLDER / "json").glob("*.schema.json")]
    return sorted([*differing, *(path for path in present if path not in wanted)])


def write(*, amend: bool) -> list[Path]:
    """Write the files that are out of date and return their paths. Files that belong to no event are removed."""
    wanted = {path: (text, type_name) for path, text, type_name in generated()}
    changed = out_of_step()
    for path in changed:
        if path not in wanted:
            path.unlink()
            continue
        text, type_name = wanted[path]
        path.parent.mkdir(parents=True, exist_ok=True)
        if type_name and path.is_file() and not amend:
            older = FOLDER / "avro" / "older" / f"{type_name}.v{max(committed_schemas()[type_name])}.avsc"
            older.parent.mkdir(exist_ok=True)
            older.write_text(path.read_text("utf-8"), "utf-8")
        path.write_text(text, "utf-8")
    return changed


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m schemas.generate", description="Make schema files from models.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if files are out of date")
    parser.add_argument(
        "--amend", action="store_true", help="overwrite the newest Avro version, for unreleased changes"
    )
    options = parser.parse_args(arguments)
    changed = out_of_step() if options.check else write(amend=options.amend)
    for path in changed:
        sys.stdout.write(f"{'out of date' if options.check else 'written'}: {path.relative_to(FOLDER.parent)}\n")
    if options.check and changed:
        sys.stdout.write("Run python -m schemas.generate and commit the files.\n")
    return 1 if options.check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
