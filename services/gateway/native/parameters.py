"""Types of path and query parameters, with the same limits as in bodies and events."""

import re
from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AfterValidator, AwareDatetime, BeforeValidator

from schemas.common import IDENTIFIER_PATTERN, MOMENT_PATTERN, SHOP_PATTERN, TYPED_CODE_PATTERN
from schemas.limits import EARLIEST, LATEST, MAX_ID_LENGTH

_NAME: Final[dict[str, Any]] = {"min_length": 1, "max_length": MAX_ID_LENGTH, "pattern": IDENTIFIER_PATTERN}

Name = Annotated[str, Path(**_NAME)]
"""An id, a code or a lock reference in a path."""

_CODE: Final[dict[str, Any]] = {**_NAME, "pattern": TYPED_CODE_PATTERN}

Code = Annotated[str, Path(**_CODE)]
"""A code in a path, as it was typed."""

CodeFilter = Annotated[str | None, Query(**_CODE)]
"""An optional code in a query, as it was typed."""

NameFilter = Annotated[str | None, Query(**_NAME)]
"""An optional id or code in a query."""

ShopFilter = Annotated[
    str | None,
    Query(max_length=MAX_ID_LENGTH, pattern=SHOP_PATTERN, description="the shop of the order; empty counts as absent"),
]

WHO: Final = "your customer id, an email address, or a +phone number; `id:` before the value makes it a customer id"

Who = Annotated[str, Path(**_NAME, description=WHO)]
"""A customer in a path: a customer id, an email address or a phone number."""

CustomerFilter = Annotated[str | None, Query(**_NAME, description=WHO)]


def _rfc3339(value: object) -> object:
    if isinstance(value, str) and not re.match(MOMENT_PATTERN, value):
        raise ValueError("must be a time in RFC 3339 with its time zone, for example 2026-11-22T09:30:00Z")
    return value


_YEARS: Final = f"from {EARLIEST.year} to the year {LATEST.year}"


def _within_limits(moment: datetime | None) -> datetime | None:
    if moment is not None and not EARLIEST <= moment <= LATEST:
        raise ValueError(f"must be {_YEARS}")
    return moment


When = Annotated[
    AwareDatetime | None,
    BeforeValidator(_rfc3339),
    AfterValidator(_within_limits),
    Query(description=f"RFC 3339 with its time zone; {_YEARS}"),
]
"""A time in a query. The pattern is checked because pydantic also accepts a number as seconds since 1970."""
