"""A constructor makes the same object as a call of the class, and takes the same arguments."""

import inspect
from collections.abc import Callable
from dataclasses import KW_ONLY
from typing import Any, NamedTuple

import pytest

from shared.constructor import constructor
from shared.domain.model.value import value


@value
class Parcel:
    parcel_id: str
    weight: int = 1
    _: KW_ONLY
    note: str | None = None


class Stop(NamedTuple):
    place: str
    minutes: int = 5


MADE: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = [
    (Parcel, ("p1",), {}),
    (Parcel, ("p1", 2), {"note": "fragile"}),
    (Parcel, (), {"weight": 3, "parcel_id": "p2"}),
    (Stop, ("depot",), {}),
    (Stop, ("depot", 7), {}),
    (Stop, (), {"minutes": 9, "place": "harbour"}),
]


@pytest.mark.parametrize(("cls", "arguments", "keywords"), MADE)
def test_it_makes_what_the_class_makes(
    cls: Callable[..., Any], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> None:
    made = constructor(cls)(*arguments, **keywords)
    assert type(made) is cls
    assert made == cls(*arguments, **keywords)


@pytest.mark.parametrize("cls", [Parcel, Stop])
def test_it_has_the_parameters_of_the_class(cls: Callable[..., Any]) -> None:
    def parameters(function: Callable[..., Any]) -> list[tuple[str, Any, Any]]:
        return [(one.name, one.kind, one.default) for one in inspect.signature(function).parameters.values()]

    assert parameters(constructor(cls)) == parameters(cls)


@pytest.mark.parametrize("cls", [Parcel, Stop])
def test_it_refuses_missing_and_unknown_arguments(cls: Callable[..., Any]) -> None:
    with pytest.raises(TypeError):
        constructor(cls)()
    with pytest.raises(TypeError):
        constructor(cls)("p1", colour="red")
