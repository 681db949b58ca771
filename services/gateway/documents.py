"""Checks of every JSON body, of the native API and the facades, before a model reads it.

Models check their own fields. The checks here are of the whole document: duplicate names in one object (readers differ
in which one they use), numbers that other programs can't read, and nesting.
"""

import json
import math
from collections import Counter
from typing import Any, Final

import orjson

from schemas.limits import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER
from services.gateway.problems import Problem

MAX_BODY_DEPTH: Final = MAX_DEPTH + 8
"""Levels of a whole body. Metadata is its deepest part, and begins at most eight levels in."""

MAX_DIGITS: Final = 400
"""Digits of one number; a float has fewer."""


class _RefusedError(Exception):
    """The document is valid JSON, but not accepted. The message is a sentence without its subject."""


def check(content: bytes) -> None:
    """Check that JSON is accepted. Raises a Problem (422). Invalid JSON passes; the model reports it."""
    try:
        read(content, digits=False)
    except ValueError:
        return


def read(content: bytes, *, digits: bool) -> Any:
    """Parse the document; with `digits`, numbers become strings of their digits.

    Raises ValueError for invalid JSON, and a Problem (422) for JSON that is not accepted.
    """
    try:
        document = json.loads(
            content,
            parse_int=_digits if digits else _integer,
            parse_float=_digits if digits else _float,
            parse_constant=_constant,
            object_pairs_hook=_object,
        )
        _check_depth(document)
    except RecursionError:
        raise _problem(_TOO_DEEP) from None
    except _RefusedError as error:
        raise _problem(str(error)) from None
    return document


def _problem(sentence: str) -> Problem:
    return Problem(
        422, "invalid_request", f"The body {sentence}.", details={"errors": [{"place": "body", "problem": sentence}]}
    )


def written(document: Any) -> bytes:
    """Serialize the document. Campaigns saved by an older version may hold integers of more than 64 bits."""
    try:
        return orjson.dumps(document, option=orjson.OPT_UTC_Z)
    except TypeError:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


_TOO_DEEP: Final = f"is nested deeper than {MAX_BODY_DEPTH} levels; make it flatter"


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS or not MIN_INTEGER <= int(text) <= MAX_INTEGER:
        raise _RefusedError("has an integer of more than 64 bits, which many programs can't read; send it as a string")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    # Floats are limited to the range of 64 bits too, because PostgreSQL's jsonb writes 1e300 with 301 digits.
    if len(text) > MAX_DIGITS or not math.isfinite(number) or not MIN_INTEGER <= number <= MAX_INTEGER:
        raise _RefusedError("has a number that is too large or too long; send it as a string")
    return number


def _digits(text: str) -> str:
    (_float if any(one in text for one in ".eE") else _integer)(text)
    return text


def _constant(name: str) -> Any:
    raise _RefusedError(f"has {name}, which is not valid JSON; leave it out")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(duplicate, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise _RefusedError(f"has {duplicate[:100]!r} twice in one object; keep one of the two")
    return found


def _check_depth(document: Any) -> None:
    """Check the depth. Raises _RefusedError. Not recursive, so that any depth can be checked."""
    level = [document]
    for _ in range(MAX_BODY_DEPTH + 1):
        level = [inner for one in level if isinstance(one, dict | list) for inner in _members(one)]
        if not level:
            return
    raise _RefusedError(_TOO_DEEP)


def _members(one: dict[str, Any] | list[Any]) -> list[Any]:
    members = one.values() if isinstance(one, dict) else one
    return [inner for inner in members if isinstance(inner, dict | list)]
