"""Read a JSON document into a model: fast if it is valid, exact for amounts sent as numbers, with clear errors.

pydantic's JSON reader reads numbers as floats (12345678901234567890.12 becomes …567000), so the models have amounts as
strings. A document with strings is read at once by compiled code. Only if that fails, the document is read again, with
the digits of numbers kept and values rewritten that can only mean one thing: see `schemas.repairs`.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from schemas.common import (
    AMOUNT_PATTERN,
    CURRENCY_PATTERN,
    IDENTIFIER_PATTERN,
    MOMENT_PATTERN,
    OPTIONAL_IDENTIFIER_PATTERN,
    PRICE_PATTERN,
    QUANTITY_ERROR,
    QUANTITY_EXPECTED,
    SHOP_PATTERN,
    TYPED_CODE_PATTERN,
    WRITTEN_IDENTIFIER_PATTERN,
)
from schemas.limits import CONTROL_CHARACTERS, NO_CONTROL_CHARACTERS
from schemas.repairs import repair

Model = TypeVar("Model", bound=BaseModel)

# An odd number of backslashes before it makes it an escape. Databases don't accept NUL in a string.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_MAX_PROBLEMS = 5
_MAX_TEXT = 1_000

_WITHOUT_CONTROLS = (IDENTIFIER_PATTERN, SHOP_PATTERN, TYPED_CODE_PATTERN)
_EXPECTED_BY_PATTERN = {
    AMOUNT_PATTERN: 'must be an amount of at least 0 written as a decimal string, for example "125.00"',
    PRICE_PATTERN: 'must be a price written as a decimal string, for example "125.00", or "-5.00" for a rebate',
    CURRENCY_PATTERN: 'must be a currency of three upper-case letters, for example "USD"',
    IDENTIFIER_PATTERN: "must not be blank",
    SHOP_PATTERN: "must not be blank; leave it out, or empty, for an order without a shop",
    TYPED_CODE_PATTERN: "must not be blank",
    WRITTEN_IDENTIFIER_PATTERN: "must not be blank",
    OPTIONAL_IDENTIFIER_PATTERN: NO_CONTROL_CHARACTERS,
    MOMENT_PATTERN: 'must be a date and time with its time zone, for example "2026-11-22T09:30:00Z"',
}
_EXPECTED_BY_TYPE = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "uuid_parsing": "must be a UUID",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "tuple_type": "must be a list",
    "datetime_type": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "datetime_parsing": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "datetime_from_date_parsing": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "datetime_object_invalid": _EXPECTED_BY_PATTERN[MOMENT_PATTERN],
    "timezone_aware": 'has no time zone; write it as "2026-11-22T09:30:00Z" or with "+02:00"',
    "json_invalid": "this is not valid JSON ({error})",
    "string_too_short": "must not be empty",
    "too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
    QUANTITY_ERROR: QUANTITY_EXPECTED,
    "extra_forbidden": "is not a known field; correct or remove it",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of a document. `loc`: keys and indices from its root; `kind`: pydantic's name of the error.

    `expected` is a sentence without its subject and full stop: `must be a string`.
    """

    loc: tuple[int | str, ...]
    kind: str
    expected: str


class InvalidDocumentError(ValueError):
    """A document that can't be read. The text says where and what to do, and never contains the document's values."""

    def __init__(self, text: str, details: Sequence[ErrorDetails] = ()) -> None:
        super().__init__(text)
        self._details = details

    def problems(self) -> list[Problem]:
        """Return all problems, at least one, for callers that can locate each place in a file."""
        if not self._details:
            text = str(self)
            return [Problem((), "document", f"{text[0].lower()}{text[1:]}".rstrip("."))]
        return [Problem(details["loc"], details["type"], expected_of(details)) for details in self._details]


def parse(model: type[Model], document: bytes) -> Model:
    """Read `document` (UTF-8 JSON) as `model`. Raises InvalidDocumentError."""
    if b"\\" in document and _NUL.search(document):  # the search for one byte comes first, because it is fast
        raise InvalidDocumentError(
            "A string holds the character NUL (\\u0000), which no database can store; remove it."
        )
    try:
        return model.model_validate_json(document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True, include_input=True)
    repaired = repair(model, document, problems)
    if repaired is None:
        raise InvalidDocumentError(describe(problems), problems)
    try:
        return model.model_validate_json(repaired.document)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=True, include_input=True)
    for problem in problems:
        problem["loc"] = repaired.original(problem["loc"])
    raise InvalidDocumentError(describe(problems), problems)


def describe(problems: list[ErrorDetails]) -> str:
    """Return pydantic's first five errors as sentences that begin with the place, at most 1,000 characters."""
    sentences = [_sentence(problem) for problem in problems[:_MAX_PROBLEMS]]
    if len(problems) > _MAX_PROBLEMS:
        sentences.append(f"And {len(problems) - _MAX_PROBLEMS} more.")
    text = " ".join(sentences)
    return text if len(text) <= _MAX_TEXT else text[: _MAX_TEXT - 1] + "…"


def _sentence(problem: ErrorDetails) -> str:
    place = ""
    for part in problem["loc"]:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else part
    expected = expected_of(problem)
    return f"{place}: {expected}." if place else f"{expected[0].upper()}{expected[1:]}."


def expected_of(problem: ErrorDetails) -> str:
    """Return what pydantic's error expects, as a sentence without its subject and full stop: `must be a string`."""
    kind, context = problem["type"], problem.get("ctx", {})
    if kind == "string_pattern_mismatch":
        # The input is never shown; it only distinguishes a blank from a line break.
        if context.get("pattern") in _WITHOUT_CONTROLS and CONTROL_CHARACTERS.search(str(problem.get("input", ""))):
            return NO_CONTROL_CHARACTERS
        return _EXPECTED_BY_PATTERN.get(context.get("pattern", ""), f"must match {context.get('pattern')}")
    if kind in _EXPECTED_BY_TYPE:
        return _EXPECTED_BY_TYPE[kind].format(**context)
    return problem["msg"].replace("Input should", "must", 1).rstrip(".")
