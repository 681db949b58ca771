"""Create objects of many fields by keyword in half the time. Every part of `shared` may import it, the domain too."""

from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, ParamSpec, TypeVar

_Class = TypeVar("_Class")
_Parameters = ParamSpec("_Parameters")


def constructor(cls: Callable[_Parameters, _Class]) -> Callable[_Parameters, _Class]:
    """Return a function that creates an object like `cls(...)`, but in half the time if arguments are keywords.

    Python collects the keywords of a call of a class in a dict, but not those of a call of a function. Use it where
    every order creates an object of many fields. `cls` is a NamedTuple, or a dataclass that isn't frozen at run time
    and has no default factories.
    """
    names: dict[str, Any] = {"cls": cls}
    if is_dataclass(cls):
        names["new"] = object.__new__
        parameters = _parameters_of(cls, names)
        body = ["made = new(cls)", *[f"made.{field.name} = {field.name}" for field in fields(cls)], "return made"]
    else:
        names["new"] = tuple.__new__
        defaults: dict[str, Any] = cls._field_defaults  # type: ignore[attr-defined]
        every: tuple[str, ...] = cls._fields  # type: ignore[attr-defined]
        parameters = [_parameter(name, defaults.get(name, MISSING), names) for name in every]
        body = [f"return new(cls, ({', '.join(every)},))"]
    lines = [f"def construct({', '.join(parameters)}):", *[f"    {line}" for line in body]]
    exec("\n".join(lines), names)  # noqa: S102 - as dataclasses make their methods; the text is this module's own
    function: Callable[_Parameters, _Class] = names["construct"]
    return function


def _parameters_of(cls: Any, names: dict[str, Any]) -> list[str]:
    """Return the parameters of a dataclass: its fields, those by keyword only at the end."""
    positional: list[str] = []
    keywords: list[str] = []
    for field in fields(cls):
        parameter = _parameter(field.name, field.default, names)
        (keywords if field.kw_only else positional).append(parameter)
    return [*positional, *(["*", *keywords] if keywords else [])]


def _parameter(name: str, default: object, names: dict[str, Any]) -> str:
    """Return a parameter, and add its default to `names`, if it has one."""
    if default is MISSING:
        return name
    names[f"default_{name}"] = default
    return f"{name}=default_{name}"
