"""Rewrite values of a JSON document that are not in the form of the models but can only mean one thing.

A document is repaired only after it failed to validate, so valid documents cost nothing. The rules:

- A number in a field marked with ExactDigits becomes a string of its digits; zeros beyond six decimals are dropped.
- A blank string in an optional field of an event or a request is absent; in a list it is left out, and so is null.
- A currency in lower case becomes upper case.
- An empty list for metadata is an empty object, as PHP writes it.
- A line without `line_id` gets its position ("1" for the first), unless another line has that id.
"""

import json
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from schemas.common import CURRENCY_PATTERN, DefaultsToPosition, ExactDigits

Location = tuple[int | str, ...]

_CURRENCY: Final = re.compile(CURRENCY_PATTERN)
_NEEDLESS_ZEROS: Final = re.compile(r"-?[0-9]+\.[0-9]{6,}", re.ASCII)
_BLANK: Final = re.compile(r"[^\S\x1c-\x1f\x85]*")
"""Control characters that Python counts as blanks are not: a text with them is refused."""
_TEXT_ERRORS: Final = ("string_too_short", "string_pattern_mismatch", "string_type")


class _Digits(str):
    """A JSON number with its original digits."""

    __slots__ = ()


@dataclass(slots=True)
class Repaired:
    """A rewritten document, and which entries of its lists were left out."""

    document: bytes
    left_out: dict[Location, list[int]] = field(default_factory=dict)

    def original(self, location: Location) -> Location:
        """Return the location in the original document."""
        shifted = list(location)
        for place, part in enumerate(location):
            if isinstance(part, int):
                for index in sorted(self.left_out.get(tuple(shifted[:place]), ())):
                    shifted[place] += index <= shifted[place]  # type: ignore[operator]
        return tuple(shifted)


@dataclass(frozen=True, slots=True)
class _Field:
    """What the models say about a place: the field, its marks, the model that has it, and whether it is an entry."""

    info: FieldInfo
    owner: type[BaseModel]
    marks: tuple[Any, ...]
    is_entry: bool

    def has(self, mark: type) -> bool:
        return any(isinstance(one, mark) for one in self.marks)

    @property
    def may_be_blank(self) -> bool:
        """Return whether a blank string counts as an absent value."""
        return getattr(self.owner, "blank_is_absent", False) and (self.is_entry or not self.info.is_required())


def repair(model: type[BaseModel], document: bytes, problems: Sequence[ErrorDetails]) -> Repaired | None:
    """Return the document with all values rewritten that `problems` are about; None if none can be."""
    try:
        return _Repair(document).run(model, problems)
    except (ValueError, LookupError, TypeError, RecursionError):
        # The two readers differ (limits of digits or depth, or a duplicate key), so the values can't be located.
        return None


class _Repair:
    """One document under repair: as a tree, and as a tree whose numbers keep their digits."""

    def __init__(self, document: bytes) -> None:
        self._tree = json.loads(document)
        self._digits = json.loads(document, parse_float=_Digits, parse_int=_Digits)
        self._changed = False
        self._left_out: dict[Location, list[int]] = {}

    def run(self, model: type[BaseModel], problems: Sequence[ErrorDetails]) -> Repaired | None:
        for problem in problems:
            location = problem["loc"]
            names = tuple([part if isinstance(part, str) else None for part in location])
            found = _field_at(model, names)
            if found is not None:
                self._repair(problem, location, found)
        if not self._changed:
            return None
        for location, indices in self._left_out.items():
            entries = _at(self._tree, location)
            entries[:] = [entry for index, entry in enumerate(entries) if index not in indices]
        return Repaired(json.dumps(self._tree).encode(), self._left_out)

    def _repair(self, problem: ErrorDetails, location: Location, found: _Field) -> None:
        kind = problem["type"]
        if found.has(DefaultsToPosition) and (kind == "missing" or _is_blank(problem["input"])):
            self._number(location)
            return
        if kind == "missing":
            return
        value = _at(self._digits, location)
        if found.has(ExactDigits) and isinstance(value, _Digits):
            self._set(location, without_needless_zeros(str(value)))
        elif isinstance(value, str):
            self._text(kind, location, value, found)
        elif value == [] and kind == "dict_type":
            self._set(location, {})
        elif value is None and found.is_entry and found.may_be_blank:
            self._leave_out(location)

    def _text(self, kind: str, location: Location, value: str, found: _Field) -> None:
        if _is_blank(value) and kind in _TEXT_ERRORS:
            if found.may_be_blank:
                self._leave_out(location) if found.is_entry else self._set(location, None)
        elif found.has(ExactDigits) and _NEEDLESS_ZEROS.fullmatch(value):
            self._set(location, without_needless_zeros(value))
        elif _pattern(found) == CURRENCY_PATTERN and _CURRENCY.fullmatch(value.strip().upper()) and value.isascii():
            self._set(location, value.strip().upper())

    def _set(self, location: Location, value: Any) -> None:
        _at(self._tree, location[:-1])[location[-1]] = value
        self._changed = True

    def _leave_out(self, location: Location) -> None:
        self._left_out.setdefault(location[:-1], []).append(typing.cast("int", location[-1]))
        self._changed = True

    def _number(self, location: Location) -> None:
        """Give a line the id of its position."""
        *path, number, name = location
        lines, line_id = _at(self._tree, tuple(path)), str(int(number) + 1)
        if all(not isinstance(line, dict) or line.get(name) != line_id for line in lines):
            self._set(location, line_id)


def without_needless_zeros(number: str) -> str:
    """Return a decimal number with more than six decimals without the zeros at its end."""
    return number.rstrip("0").rstrip(".") if _NEEDLESS_ZEROS.fullmatch(number) else number


def _is_blank(value: Any) -> bool:
    return isinstance(value, str) and _BLANK.fullmatch(value) is not None


def _at(tree: Any, place: Location) -> Any:
    for part in place:
        tree = tree[part]
    return tree


def _pattern(found: _Field) -> str | None:
    return next((pattern for mark in found.marks if (pattern := getattr(mark, "pattern", None)) is not None), None)


@lru_cache(maxsize=4096)
def _field_at(model: type[BaseModel], names: tuple[str | None, ...]) -> _Field | None:
    """Return the field at a location whose indices are None; None if it can't be found in the models."""
    annotation: Any = model
    owner: type[BaseModel] = model
    info: FieldInfo | None = None
    is_entry = False
    for name in names:
        is_entry = name is None
        if name is not None:
            inside = [one for one in _parts(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]
            holder = next((one for one in inside if name in one.model_fields), None)
            if holder is None:
                return None
            owner, info = holder, holder.model_fields[name]
            annotation = info.annotation
    if info is None:
        return None
    marks = [*info.metadata, *_parts(annotation)]
    # A FieldInfo among the marks holds the pattern of an inner type.
    inner = [mark for one in marks if isinstance(one, FieldInfo) for mark in one.metadata]
    return _Field(info, owner, (*marks, *inner), is_entry)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    yield from getattr(annotation, "__metadata__", ())
    for argument in typing.get_args(annotation):
        yield from _parts(argument)
