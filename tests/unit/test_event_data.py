"""The TypedDicts of events agree with the models of the same name in `schemas`, field by field."""

from collections.abc import Mapping
from datetime import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from schemas import common, issued, lifecycle, redemptions
from schemas.catalogue import CATALOGUE
from shared.ledger import event_data
from shared.ledger.event_data import EventData, JudgedOrderData

SUFFIX = "Data"
DATA = {name: one for name, one in vars(event_data).items() if is_typeddict(one) and one is not JudgedOrderData}
MODELS = {name: one for module in (common, issued, redemptions, lifecycle) for name, one in vars(module).items()}
BUILT_AS_MODELS = {"ledger.event_withheld", "coupon.redemption_notified"}
OF_NO_VERDICT = {"customer.erased", "coupon.expiring", "coupon.expired"}
NAMES = {str: "text", int: "number", bool: "flag", datetime: "time", NoneType: "null"}


def shape(annotation: Any) -> Any:
    """Return the JSON that an annotation allows. A part of an event is named after its model."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {Annotated, NotRequired}:
        return shape(arguments[0])
    if origin in {Union, UnionType}:
        return frozenset(map(shape, arguments))
    if origin in {list, tuple}:
        return ("list", shape(arguments[0]))
    if origin in {dict, Mapping}:
        return ("object", "text" if arguments[1] is str else "anything")
    if origin is Literal:
        annotation = type(arguments[0])
    return NAMES.get(annotation) or annotation.__name__.removesuffix(SUFFIX)


@pytest.mark.parametrize("name", DATA)
def test_fields_agree_with_the_model(name: str) -> None:
    data, model = DATA[name], MODELS[name.removesuffix(SUFFIX)]
    hints = get_type_hints(model, include_extras=True)
    expected = {field: shape(hints[field]) for field in model.model_fields}
    assert {field: shape(hint) for field, hint in get_type_hints(data, include_extras=True).items()} == expected


@pytest.mark.parametrize("name", DATA)
def test_required_fields_of_the_model_are_always_written(name: str) -> None:
    data, model = DATA[name], MODELS[name.removesuffix(SUFFIX)]
    required = {field for field, info in model.model_fields.items() if info.is_required()}
    assert required <= data.__required_keys__


def test_every_event_that_couponry_publishes_has_typed_data() -> None:
    published = [entry for entry in CATALOGUE if entry.topic.name.startswith("coupons.")]
    assert len(published) > len(BUILT_AS_MODELS)
    missing = {entry.name for entry in published if f"{entry.model.__name__}{SUFFIX}" not in DATA}
    assert missing == BUILT_AS_MODELS


def test_the_union_has_every_event_of_a_verdict() -> None:
    of_verdicts = {
        f"{entry.model.__name__}{SUFFIX}" for entry in CATALOGUE if entry.name not in BUILT_AS_MODELS | OF_NO_VERDICT
    } & DATA.keys()
    assert {one.__name__ for one in get_args(EventData)} == of_verdicts
