"""A schema registry over HTTP, as Confluent, Karapace and Apicurio (in its compatible API) speak it.

Fills `schemas.registry.SchemaRegistry`. An id never changes what it means, so who asks keeps the answers; a process
asks once a schema. Source: Confluent Schema Registry API, /schemas/ids and /subjects.
"""

import json
import time
from typing import Any, Final, Self
from urllib.parse import quote

import httpx
import orjson

from schemas.registry import AvroSchema, SchemaRegistryUnavailableError, UnknownSchemaError

TIMEOUT_SECONDS: Final = 5.0
"""One small answer from a server near by; the caller backs off and asks again, so there is no use in waiting longer."""

TOTAL_SECONDS: Final = 10.0
"""Of one whole answer: a server that sends byte after byte meets no limit that counts from the last one."""

MAX_ANSWER_BYTES: Final = 1024 * 1024
"""Above any schema that is read (`shared.messaging.avro_guard`), as a text within JSON."""

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_REFUSALS: Final = frozenset({404, 409, 422})
"""Answers that asking again would not change: no such schema, not compatible, not valid."""


class HttpSchemaRegistry:
    """The registry at `url` (`http://registry:8081`, with `user:password@` where it wants them). Calls block."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        # Redirects lead elsewhere than the operator said, and compression hides how much an answer is.
        headers = {"Accept": MEDIA_TYPE, "Accept-Encoding": "identity"}
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, headers=headers, follow_redirects=False)

    def schema(self, schema_id: int) -> AvroSchema:
        """The Avro schema of that id. Raises UnknownSchemaError, SchemaRegistryUnavailableError."""
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
            raise UnknownSchemaError(f"schema {schema_id} is no self-contained Avro schema")
        try:
            schema = orjson.loads(answer["schema"])  # bounds the nesting, unlike json
        except (KeyError, TypeError, ValueError) as error:
            raise UnknownSchemaError(f"schema {schema_id} is no Avro schema") from error
        if not isinstance(schema, dict):
            raise UnknownSchemaError(f"schema {schema_id} is no Avro record")
        return schema

    def register(self, subject: str, schema: AvroSchema) -> int:
        """The id of `schema` under `subject`, entered when new. Raises as the protocol says."""
        body = {"schemaType": "AVRO", "schema": json.dumps(schema)}
        answer = self._ask("POST", f"/subjects/{quote(subject, safe='')}/versions", body)
        schema_id = answer.get("id")
        if not isinstance(schema_id, int):
            raise SchemaRegistryUnavailableError(f"The schema registry gave no id for the subject {subject}.")
        return schema_id

    def close(self) -> None:
        """Closes its connections."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
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
            answer = orjson.loads(content)
        except ValueError as error:
            raise SchemaRegistryUnavailableError(f"The schema registry's answer to {path} is no JSON.") from error
        if not isinstance(answer, dict):
            raise SchemaRegistryUnavailableError(f"The schema registry's answer to {path} is no object.")
        return answer


def _content(response: httpx.Response, path: str) -> bytes:
    """Read an answer within its bounds.

    Raises:
        UnknownSchemaError: it is too large, and would be so again.
        SchemaRegistryUnavailableError: it takes too long, or is compressed although that wasn't asked for.
    """
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        raise SchemaRegistryUnavailableError(f"The schema registry's answer to {path} is compressed.")
    until = time.monotonic() + TOTAL_SECONDS
    content = bytearray()
    for part in response.iter_raw():
        content += part
        if len(content) > MAX_ANSWER_BYTES:
            raise UnknownSchemaError(f"the schema registry's answer to {path} has more than {MAX_ANSWER_BYTES} bytes")
        if time.monotonic() > until:
            raise SchemaRegistryUnavailableError(f"The schema registry's answer to {path} took too long.")
    return bytes(content)
