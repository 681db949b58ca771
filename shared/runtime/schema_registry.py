"""A client of a schema registry over HTTP: Confluent, Karapace, or Apicurio's compatible API.

Implements `schemas.registry.SchemaRegistry`. An id always means the same schema, so callers cache the results; a
process requests each schema once. Source: Confluent Schema Registry API, /schemas/ids and /subjects.
"""

import json
import time
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import orjson

from schemas.registry import AvroSchema, SchemaRegistryUnavailableError, UnknownSchemaError

TIMEOUT_SECONDS: Final = 5.0
"""A response is small and the server near; the caller retries with a backoff, so a longer wait would not help."""

TOTAL_SECONDS: Final = 10.0
"""The timeout of a whole response. A timeout between bytes doesn't stop a server that sends slowly."""

MAX_RESPONSE_BYTES: Final = 1024 * 1024
"""Larger than any accepted schema (`shared.messaging.avro_guard`) as text within JSON."""

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_REFUSALS: Final = frozenset({404, 409, 422})
"""Statuses that a retry would not change: no such schema, not compatible, not valid."""


class HttpSchemaRegistry:
    """The registry at `url` (`http://registry:8081`, with `user:password@` if required). Calls block."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        # A redirect leads to a host that isn't configured, and compression hides the size of a response.
        headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, headers=headers, follow_redirects=False)

    def schema(self, schema_id: int) -> AvroSchema:
        """Return the Avro schema with that id. Raises UnknownSchemaError, SchemaRegistryUnavailableError."""
        document = self._call("GET", f"/schemas/ids/{schema_id}")
        if document.get("schemaType", "AVRO") != "AVRO" or document.get("references"):
            raise UnknownSchemaError(f"schema {schema_id} is not a self-contained Avro schema")
        try:
            schema = orjson.loads(document["schema"])  # limits the nesting, unlike json
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownSchemaError(f"schema {schema_id} is not an Avro schema") from error
        if not isinstance(schema, dict):
            raise UnknownSchemaError(f"schema {schema_id} is not an Avro record")
        return schema

    def register(self, subject: str, schema: AvroSchema) -> int:
        """Return the id of `schema` under `subject`; registers it if it is new. Raises as the protocol describes."""
        body = {"schemaType": "AVRO", "schema": json.dumps(schema)}
        document = self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
        schema_id = document.get("id")
        if not isinstance(schema_id, int):
            raise SchemaRegistryUnavailableError(f"The schema registry returned no id for the subject {subject}.")
        return schema_id

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        try:
            with self._client.stream(method, path, json=body) as response:
                content = _content(response, path)
        except httpx.HTTPError as error:
            raise SchemaRegistryUnavailableError(
                f"The schema registry can't be reached ({type(error).__name__}); check COUPONRY_SCHEMA_REGISTRY_URL."
            ) from error
        if response.status_code in _REFUSALS:
            raise UnknownSchemaError(f"the schema registry answered {response.status_code} to {path}")
        if not response.is_success:
            raise SchemaRegistryUnavailableError(f"The schema registry answered {response.status_code} to {path}.")
        try:
            document = orjson.loads(content)
        except ValueError as error:
            raise SchemaRegistryUnavailableError(f"The schema registry's response to {path} is not JSON.") from error
        if not isinstance(document, dict):
            raise SchemaRegistryUnavailableError(f"The schema registry's response to {path} is not a JSON object.")
        return document


def _content(response: httpx.Response, path: str) -> bytes:
    """Read a response within its limits.

    Raises:
        UnknownSchemaError: it is too large; a retry would not help.
        SchemaRegistryUnavailableError: it takes too long, or is compressed although compression was declined.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise SchemaRegistryUnavailableError(f"The schema registry's response to {path} is compressed.")
    until = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    for part in response.iter_raw():
        content += part
        if len(content) > MAX_RESPONSE_BYTES:
            raise UnknownSchemaError(
                f"the schema registry's response to {path} has more than {MAX_RESPONSE_BYTES} bytes"
            )
        if time.monotonic() > until:
            raise SchemaRegistryUnavailableError(f"The schema registry's response to {path} took too long.")
    return bytes(content)
