"""Value objects: compared by content, never changed."""

from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any, ParamSpec, TypeVar, dataclass_transform

_Class = TypeVar("_Class")
_Parameters = ParamSpec("_Parameters")


@dataclass_transform(frozen_default=True)
def value(cls: type[_Class]) -> type[_Class]:
    """Make `cls` a dataclass with slots that only the type checker treats as frozen; at run time it isn't enforced.

    A frozen dataclass takes three times as long to create (each field goes through `object.__setattr__`), and an order
    creates half a dozen: that would be a quarter of the time of a decision.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


def constructor(cls: Callable[_Parameters, _Class]) -> Callable[_Parameters, _Class]:
    """Return a function that creates a value like `cls(...)`, but in half the time if arguments are keywords.

    Python collects the keywords of a call of a class in a dict, but not those of a call of a function. Use it where
    every order creates a value of many fields. `cls` must have no default factories.
    """
    names: dict[str, Any] = {"cls": cls, "new": object.__new__}
    positional: list[str] = []
    keywords: list[str] = []
    body = []
    for field in fields(cls):  # type: ignore[arg-type]
        parameter = field.name
        if field.default is not MISSING:
            names[f"default_{field.name}"] = field.default
            parameter = f"{field.name}=default_{field.name}"
        (keywords if field.kw_only else positional).append(parameter)
        body.append(f"    made.{field.name} = {field.name}")
    parameters = ", ".join([*positional, *(["*", *keywords] if keywords else [])])
    lines = [f"def construct({parameters}):", "    made = new(cls)", *body, "    return made"]
    exec("\n".join(lines), names)  # noqa: S102 - as dataclasses make their methods; the text is this module's own
    function: Callable[_Parameters, _Class] = names["construct"]
    return function
