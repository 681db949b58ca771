"""What schemathesis doesn't know by itself; `schemathesis.toml` names this file."""

from typing import Any

import schemathesis
from schemathesis import SerializationContext


@schemathesis.serializer("application/x-ndjson")
def ndjson(context: SerializationContext, value: Any) -> dict[str, bytes]:
    """The text that was generated, as it stands."""
    return {"data": value if isinstance(value, bytes) else str(value).encode()}
