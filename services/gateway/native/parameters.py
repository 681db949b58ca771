"""What stands in paths and queries, native or a facade's: the same limits as in bodies and events."""

import re
from typing import Annotated, Any, Final

from fastapi import Path, Query
from pydantic import AwareDatetime, BeforeValidator

from schemas.common import IDENTIFIER_PATTERN, MOMENT_PATTERN
from schemas.limits import EARLIEST, LATEST, MAX_ID_LENGTH

_NAME: Final[dict[str, Any]] = {"min_length": 1, "max_length": MAX_ID_LENGTH, "pattern": IDENTIFIER_PATTERN}

Name = Annotated[str, Path(**_NAME)]
"""The name of something in a path: an id, a code, a lock reference."""

AskedName = Annotated[str | None, Query(**_NAME)]
"""The same in a query, left out for all."""

WHO: Final = "an id of yours, an e-mail address, or a +phone number; id:… is always an id"

Who = Annotated[str, Path(**_NAME, description=WHO)]
"""A customer in a path, by any of their names."""

AskedWho = Annotated[str | None, Query(**_NAME, description=WHO)]


def _rfc3339(value: object) -> object:
    if isinstance(value, str) and not re.match(MOMENT_PATTERN, value):
        raise ValueError("must be a time of RFC 3339 with its time zone: 2026-11-22T09:30:00Z")
    return value


When = Annotated[
    AwareDatetime | None,
    BeforeValidator(_rfc3339),
    Query(ge=EARLIEST, le=LATEST, description="RFC 3339 with its time zone, from 1970 on and before the year 9000"),
]
"""A time in a query. pydantic alone would take a number for seconds since 1970."""
