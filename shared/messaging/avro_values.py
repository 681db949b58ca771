"""Convert values without an Avro type between an event's JSON and its Avro record.

Metadata and a discount's payload may be any JSON, and Avro has no recursive type that readers of earlier versions could
read. If all values of `metadata` are scalars, they are in the record's map; otherwise the map is null and
`metadata_json` holds them as JSON text. Source: docs/decisions/0050-nested-json-in-avro.md.

A quantity with decimals ("0.395") is in `quantity_decimal`; `quantity`, a long since the first version, is then the
number rounded up, which older readers read.

A text that is null in JSON but required by the first version of its schema is a single blank in Avro, which no
identifier can be.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from math import ceil
from typing import Any, Final, Literal, get_args

import orjson
from pydantic import BaseModel

from schemas.common import DECIMAL_SUFFIX, JSON_SUFFIX, BlankInAvro, holds_json, holds_quantity
from schemas.limits import MAX_INTEGER, MIN_INTEGER
from schemas.parsing import InvalidDocumentError

BLANK: Final = " "

Plan = Mapping[str, "Literal['json', 'blank', 'quantity'] | Plan"]
"""Maps each field that differs between JSON and Avro to how it differs, or to the plan of the objects in it."""


@cache
def plan_of(model: type[BaseModel]) -> Plan:
    """Return the differences between the JSON and the Avro form of `model`."""
    plan: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if any(isinstance(mark, BlankInAvro) for mark in field.metadata):
            plan[name] = "blank"
        elif holds_quantity(field.metadata):
            plan[name] = "quantity"
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
    """Change an event's data, as returned by `model_dump`, into the form of its Avro schema, in place."""
    for name, kind in plan.items():
        member = value.get(name)
        if kind == "blank":
            value[name] = BLANK if member is None else member
        elif kind == "quantity":
            if isinstance(member, str):
                value[name], value[name + DECIMAL_SUFFIX] = ceil(Decimal(member)), member
        elif kind == "json":
            if member is not None and not all(map(_is_single, member.values())):
                value[name] = None
                value[name + JSON_SUFFIX] = json.dumps(member, ensure_ascii=False, separators=(",", ":"))
        else:
            for inner in member if isinstance(member, list | tuple) else (member,):
                if inner is not None:
                    to_avro(kind, inner)


def from_avro(plan: Plan, value: Any) -> None:
    """Change a decoded Avro record into the form of the event's JSON, in place. Its schema may be any schema.

    Raises InvalidDocumentError for a string that isn't valid JSON.
    """
    if not isinstance(value, dict):
        return
    for name, kind in plan.items():
        if kind == "blank":
            if value.get(name) == BLANK:
                value[name] = None
        elif kind == "quantity":
            decimal = value.pop(name + DECIMAL_SUFFIX, None)
            if decimal is not None:
                value[name] = decimal
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
    """Return `text` as a fragment that is copied into the document unchanged, so that numbers keep their digits."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        raise InvalidDocumentError(f"{name}: is not valid JSON text.") from None
    return orjson.Fragment(text)
