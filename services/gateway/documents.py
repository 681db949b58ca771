"""What every JSON body passes before a model reads it, native or a facade's: one reader, one set of limits.

Models bound their own fields; here is what no field sees: a name that stands twice (of which readers take one or the
other), numbers that others can't read, nesting.
"""

import json
import math
from collections import Counter
from typing import Any, Final

import orjson

from schemas.limits import MAX_DEPTH, MAX_INTEGER, MIN_INTEGER
from services.gateway.problems import Problem

DEEPEST: Final = MAX_DEPTH + 8
"""Of a whole body: metadata is the deepest thing in one, and stands at most eight levels in."""

MOST_DIGITS: Final = 400
"""Of one number: more than a float has."""


class _RefusedError(Exception):
    """The document is JSON that isn't taken; the text is a sentence without its subject."""


def check(content: bytes) -> None:
    """Raise a Problem (422) for JSON that isn't taken; what is no JSON at all is left to its reader."""
    try:
        read(content, digits=False)
    except ValueError:
        return


def read(content: bytes, *, digits: bool) -> Any:
    """The document; its numbers as texts of their digits where `digits`.

    Raises ValueError for what is no JSON, a Problem (422) for JSON that isn't taken.
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
    """The document as it is kept and sent. A campaign of an older version may keep an integer beyond 64 bits."""
    try:
        return orjson.dumps(document, option=orjson.OPT_UTC_Z)
    except TypeError:
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


_TOO_DEEP: Final = f"is nested deeper than {DEEPEST} levels; make it flatter"


def _integer(text: str) -> int:
    if len(text) > MOST_DIGITS or not MIN_INTEGER <= int(text) <= MAX_INTEGER:
        raise _RefusedError("holds an integer of more than 64 bits, which few can read; write it as a text")
    return int(text)


def _float(text: str) -> float:
    number = float(text)
    # Within 64 bits even so: PostgreSQL's jsonb writes 1e300 out, as an integer of 301 digits.
    if len(text) > MOST_DIGITS or not math.isfinite(number) or not MIN_INTEGER <= number <= MAX_INTEGER:
        raise _RefusedError("holds a number that is too large or too long for its readers; write it as a text")
    return number


def _digits(text: str) -> str:
    (_float if any(one in text for one in ".eE") else _integer)(text)
    return text


def _constant(name: str) -> Any:
    raise _RefusedError(f"holds {name}, which is no JSON; leave it out")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        [(twice, _)] = Counter(name for name, _ in pairs).most_common(1)
        raise _RefusedError(f"says {twice[:100]!r} twice in one object; keep one of the two")
    return found


def _check_depth(document: Any) -> None:
    """Raise _RefusedError for one that is nested too deep. Without recursion, so that no depth is too deep for it."""
    level = [document]
    for _ in range(DEEPEST + 1):
        level = [inner for one in level if isinstance(one, dict | list) for inner in _members(one)]
        if not level:
            return
    raise _RefusedError(_TOO_DEEP)


def _members(one: dict[str, Any] | list[Any]) -> list[Any]:
    members = one.values() if isinstance(one, dict) else one
    return [inner for inner in members if isinstance(inner, dict | list)]
