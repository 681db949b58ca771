"""Reads a document into a model: fast where it is as it should be, exact where an amount came as a number, clear where
it is wrong.

pydantic's JSON reader takes numbers through a float (12345678901234567890.12 becomes …567000), so amounts are texts in
the models and a document with texts is read in one go, without a line of Python. Only when that fails because an amount
is a number is the document read again with its digits kept. Source: design §4, "Money".
"""

import json
import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.common import (
    AMOUNT_PATTERN,
    CURRENCY_PATTERN,
    IDENTIFIER_PATTERN,
    MOMENT_PATTERN,
    WRITTEN_IDENTIFIER_PATTERN,
    ExactDigits,
)
from schemas.limits import CONTROL_CHARACTERS, NO_CONTROL_CHARACTERS

Model = TypeVar("Model", bound=BaseModel)

# An odd number of backslashes before it makes it an escape. Databases take no NUL in a text, and nobody means one.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MAX_PROBLEMS = 5  # errors are read with their input, of which nothing is shown: it tells a blank from a line break
_MAX_TEXT = 1_000

_EXPECTED_BY_PATTERN = {
    AMOUNT_PATTERN: 'must be an amount of at least 0 written as a decimal text, for example "125.00"',
    CURRENCY_PATTERN: 'must be a currency of three upper-case letters, for example "USD"',
    IDENTIFIER_PATTERN: "must not be blank",
    WRITTEN_IDENTIFIER_PATTERN: "must not be blank",
    MOMENT_PATTERN: 'must be a date and time with its time zone, for example "2026-11-22T09:30:00Z"',
}
_EXPECTED_BY_TYPE = {
    "missing": "is missing",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "datetime_type": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "datetime_parsing": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "datetime_from_date_parsing": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "datetime_object_invalid": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "timezone_aware": 'has no time zone; write it as "2026-11-22T09:30:00Z" or with "+02:00"',
    "json_invalid": "this is no valid JSON ({error})",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
    "extra_forbidden": "is no field that is known here; correct or remove it",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document. `loc`: keys and indices from its root; `kind`: pydantic's name for it.

    `expected` is a sentence without its subject and without a stop: `must be a text`.
    """

    loc: tuple[int | str, ...]
    kind: str
    expected: str


class InvalidDocumentError(ValueError):
    """A document that can't be read. Its text says where and what to do, and never shows the document's values."""

    def __init__(self, text: str, details: Sequence[ErrorDetails] = ()) -> None:
        super().__init__(text)
        self._details = details

    def problems(self) -> list[Problem]:
        """All that is wrong, for who knows where in a file each place is. Always one or more."""
        if not self._details:
            text = str(self)
            return [Problem((), "document", f"{text[0].lower()}{text[1:]}".rstrip("."))]
        return [Problem(details["loc"], details["type"], _expected(details)) for details in self._details]


class _Digits(str):
    """A JSON number as it was written."""

    __slots__ = ()


def parse(model: type[Model], document: bytes) -> Model:
    """`document` (UTF-8 JSON) as `model`. Raises InvalidDocumentError."""
    if b"\\" in document and _NUL.search(document):  # looking for one byte first is what makes this free
        raise InvalidDocumentError("A text holds the character NUL (\\u0000), which no database can store; remove it.")
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True, include_input=True)
    exact = _with_amounts_as_texts(model, document, problems)
    if exact is None:
        raise InvalidDocumentError(describe(problems), problems)
    try:
        return model.model_validate_json(exact)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True, include_input=True)
    raise InvalidDocumentError(describe(problems), problems)


def describe(problems: list[ErrorDetails]) -> str:
    """What pydantic found, one sentence each with the place first; the first five, at most 1,000 characters."""
    sentences = [_sentence(problem) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        sentences.append(f"And {len(problems) - _MAX_PROBLEMS} more.")
    text = " ".join(sentences)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _sentence(problem: ErrorDetails) -> str:
    place = ""
    for part in problem["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    expected = _expected(problem)
    return f"{place}: {expected}." if place else f"{expected[0].upper()}{expected[1:]}."


def _expected(problem: ErrorDetails) -> str:
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "string_pattern_mismatch":
        if context.get("pattern") == IDENTIFIER_PATTERN and CONTROL_CHARACTERS.search(str(problem.get("input", ""))):
            return NO_CONTROL_CHARACTERS
        return _EXPECTED_BY_PATTERN.get(context.get("pattern", ""), f"must match {context.get('pattern')}")
    if kind in _EXPECTED_BY_TYPE:
        return _EXPECTED_BY_TYPE[kind].format(**context)
    return problem["msg"].replace("Input should", "must", 1).rstrip(".")


def _with_amounts_as_texts(model: type[BaseModel], document: bytes, problems: list[ErrorDetails]) -> bytes | None:
    """The document with each amount that is a number turned into a text of its digits; None if there is no such."""
    names = _amount_names(model)
    places = [p["loc"] for p in problems if p["type"] == "string_type" and p["loc"] and p["loc"][-1] in names]
    if not places:
        return None
    try:
        digits = json.loads(document, parse_float=_Digits, parse_int=_Digits)
        rewritten = json.loads(document)
        numbers = [(place, number) for place in places if isinstance(number := _at(digits, place), _Digits)]
        for place, number in numbers:
            _at(rewritten, place[:-1])[place[-1]] = str(number)
    except (ValueError, LookupError, TypeError, RecursionError):
        # The two readers don't see the same tree: bounds on digits or depth differ, or a key stands twice. No guessing.
        return None
    return json.dumps(rewritten).encode() if numbers else None


def _at(tree: Any, place: tuple[int | str, ...]) -> Any:
    for part in place:
        tree = tree[part]
    return tree


@cache
def _amount_names(model: type[BaseModel]) -> frozenset[str]:
    """The names of the fields, at any depth, that are marked as taking a number's digits."""
    return frozenset(_marked(model, set()))


def _marked(model: type[BaseModel], seen: set[type[BaseModel]]) -> Iterator[str]:
    if model in seen:
        return
    seen.add(model)
    for name, field in model.model_fields.items():
        parts = list(_parts(field.annotation))
        if any(isinstance(part, ExactDigits) for part in [*field.metadata, *parts]):
            yield name
        for part in parts:
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from _marked(part, seen)


def _parts(annotation: Any) -> Iterator[Any]:
    yield annotation
    yield from getattr(annotation, "__metadata__", ())
    for argument in typing.get_args(annotation):
        yield from _parts(argument)
