"""The fields of a Paddle Classic call, as strings by name, from a form or from JSON."""

import json
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from fastapi import Request

from schemas.limits import CONTROL_CHARACTERS, EARLIEST, LATEST, MAX_ID_LENGTH, MAX_LIST_LENGTH
from services.gateway import documents
from services.gateway.problems import Problem

MISSING: Final = 116
BAD_TYPE: Final = 127
BAD_PERCENTAGE: Final = 128
BAD_AMOUNT: Final = 129
BAD_USES: Final = 130
BAD_CODE: Final = 131
TAKEN: Final = 132
BAD_EXPIRY: Final = 133
BAD_CURRENCY: Final = 134
NOT_FOUND: Final = 135

MAX_CHARACTERS: Final = 10_000
Fields = Mapping[str, str]


class PaddleProblem(Problem):
    """A problem with one of the vendor's error codes."""

    def __init__(self, number: int, detail: str) -> None:
        super().__init__(200, "invalid_request", detail, unknown=int(number == NOT_FOUND))
        self.number = number


async def fields_of(request: Request) -> Fields:
    """Return the trimmed fields without nulls. They are parsed once per request. Raises a Problem (400)."""
    try:
        fields: Fields = request.state.fields
    except AttributeError:  # the first call
        fields = request.state.fields = await _read(request)
    return fields


async def _read(request: Request) -> Fields:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        form = await request.form()
        return _checked({name: value for name, value in form.items() if isinstance(value, str)})
    try:
        # Numbers are read as digits, because an amount must not be converted to a float.
        document = documents.read(await request.body() or b"{}", digits=True)
    except ValueError as error:
        raise Problem(400, "invalid_json", f"The body is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise Problem(400, "invalid_json", "The body must be a JSON object of fields.")
    return _checked({str(name): _text(value) for name, value in document.items() if value is not None})


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list):
        return ",".join(_text(one) for one in value)
    return value if isinstance(value, str) else json.dumps(value)


def _checked(fields: dict[str, str]) -> Fields:
    for name, value in fields.items():
        if "\0" in value or len(value) > MAX_CHARACTERS or not _is_unicode(value):
            raise PaddleProblem(MISSING, f"{name} is too long or has invalid characters; correct it.")
    return {name: value.strip() for name, value in fields.items()}


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def needed(fields: Fields, name: str) -> str:
    """Return a required field. Raises a PaddleProblem (116)."""
    value = fields.get(name, "")
    if not value:
        raise PaddleProblem(MISSING, f"{name} is missing.")
    return value


def code_of(fields: Fields, name: str) -> str:
    """Return a code, or an empty string. Raises a PaddleProblem (131)."""
    code = fields.get(name, "")
    if len(code) > MAX_ID_LENGTH or CONTROL_CHARACTERS.search(code):
        raise PaddleProblem(BAD_CODE, f"{name} must have at most {MAX_ID_LENGTH} characters, all of them printable.")
    return code


def whole(fields: Fields, name: str, number: int, max_value: int = 2**31 - 1) -> int | None:
    """Return a whole number of at least 1, or None. Raises a PaddleProblem with `number`."""
    text = fields.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:11]) <= max_value or len(text) > 10:
        raise PaddleProblem(number, f"{name} must be a whole number from 1 to {max_value:,}, not {text[:40]!r}.")
    return int(text)


def flag(fields: Fields, name: str) -> bool | None:
    """Return a flag, given as 0, 1, false or true, or None. Raises a PaddleProblem (116)."""
    text = fields.get(name, "").lower()
    if not text:
        return None
    if text not in {"0", "1", "true", "false"}:
        raise PaddleProblem(MISSING, f"{name} must be 0 or 1, not {text[:40]!r}.")
    return text in {"1", "true"}


def products(text: str) -> list[str]:
    """Parse product ids that are separated by commas. Raises a PaddleProblem (the text of 108 with code 116)."""
    ids = [one.strip() for one in text.split(",") if one.strip()]
    if len(ids) > MAX_LIST_LENGTH or any(len(one) > MAX_ID_LENGTH for one in ids):
        raise PaddleProblem(MISSING, "product_ids must be at most 1,000 ids, separated by commas.")
    return list(dict.fromkeys(ids))


def expiry(text: str) -> str:
    """Parse an expiry date; the coupon ends at its start in UTC. Raises a PaddleProblem (133)."""
    try:
        day = date.fromisoformat(text if len(text) == 10 else "")
    except ValueError:
        raise PaddleProblem(BAD_EXPIRY, f"expires must be a date like 2026-12-31, not {text[:40]!r}.") from None
    if not EARLIEST.date() <= day <= LATEST.date():
        raise PaddleProblem(BAD_EXPIRY, f"expires must be from {EARLIEST.year} to {LATEST.year}, not {text[:40]!r}.")
    return f"{day.isoformat()}T00:00:00Z"
