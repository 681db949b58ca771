"""What Avro has no type for, between an event's JSON and its Avro record.

Metadata and a discount's payload are any JSON, and Avro has no recursive type that readers of earlier versions could
read. So `metadata` stands in the record's map as long as all of its values are single ones, else as JSON text in
`metadata_json`, and the map is null. Source: docs/decisions/0050-nested-json-in-avro.md.

A text that is null in JSON, but is needed by the first version of its schema, is one blank in Avro: no identifier is.
"""

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, Literal, get_args

import orjson
from pydantic import BaseModel

from schemas.common import JSON_SUFFIX, BlankInAvro, holds_json
from schemas.limits import MAX_INTEGER, MIN_INTEGER
from schemas.parsing import InvalidDocumentError

BLANK: Final = " "

Plan = Mapping[str, "Literal['json', 'blank'] | Plan"]
"""field → how it differs between JSON and Avro, or the plan of the objects in it; only fields that differ"""


@cache
def plan_of(model: type[BaseModel]) -> Plan:
    """Return where the JSON and the Avro form of `model` differ."""
    plan: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if any(isinstance(one, BlankInAvro) for one in field.metadata):
            plan[name] = "blank"
        elif holds_json(field.annotation):
            plan[name] = "json"
        elif (inner := _model_in(field.annotation)) is not None and (deeper := plan_of(inner)):
            plan[name] = deeper
    return plan


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for argument in get_args(annotation) if (found := _model_in(argument)) is not None), None)


def to_avro(plan: Plan, value: dict[str, Any]) -> None:
    """Change an event's data, as `model_dump` gives it, to what its Avro schema has a place for."""
    for name, kind in plan.items():
        member = value.get(name)
        if kind == "blank":
            value[name] = BLANK if member is None else member
        elif kind == "json":
            if member is not None and not all(map(_is_single, member.values())):
                value[name] = None
                value[name + JSON_SUFFIX] = json.dumps(member, ensure_ascii=False, separators=(",", ":"))
        else:
            for inner in member if isinstance(member, list | tuple) else (member,):
                if inner is not None:
                    to_avro(kind, inner)


def from_avro(plan: Plan, value: Any) -> None:
    """Change a record, as Avro gives it, to what the event's JSON says. Its schema may be anybody's.

    Raises InvalidDocumentError for JSON text that is none.
    """
    if not isinstance(value, dict):
        return
    for name, kind in plan.items():
        if kind == "blank":
            if value.get(name) == BLANK:
                value[name] = None
        elif kind == "json":
            text = value.pop(name + JSON_SUFFIX, None)
            if text is not None:
                value[name] = _fragment(name + JSON_SUFFIX, text)
        else:
            member = value.get(name)
            for inner in member if isinstance(member, list) else (member,):
                from_avro(kind, inner)


def _is_single(value: Any) -> bool:
    if isinstance(value, int):
        return MIN_INTEGER <= value <= MAX_INTEGER
    return value is None or isinstance(value, str | float)


def _fragment(name: str, text: Any) -> Any:
    """The text to be put into the document as it stands, so that its numbers keep their digits."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidDocumentError(f"{name}: is no JSON text.") from None
    return orjson.Fragment(text)
