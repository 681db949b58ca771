"""Extend schemathesis with a serializer for NDJSON; `schemathesis.toml` names this file."""

from typing import Any

import schemathesis
from schemathesis import SerializationContext


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: SerializationContext, value: Any) -> dict[str, bytes]:
    """Return the generated value unchanged."""
    return {"data": value if isinstance(value, bytes) else str(value).encode()}
