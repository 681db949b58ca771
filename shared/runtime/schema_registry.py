"""A schema registry over HTTP, as Confluent, Karapace and Apicurio (in its compatible API) speak it.

Fills `schemas.registry.SchemaRegistry`. An id never changes what it means, so who asks keeps the answers; a process
asks once a schema. Source: Confluent Schema Registry API, /schemas/ids and /subjects.
"""

import json
from typing import Any, Final, Self
from urllib.parse import quote

import httpx

from schemas.registry import AvroSchema, SchemaRegistryUnavailableError, UnknownSchemaError

TIMEOUT_SECONDS: Final = 5.0
"""One small answer from a server near by; the caller backs off and asks again, so there is no use in waiting longer."""

MEDIA_TYPE: Final = "application/vnd.schemaregistry.v1+json"
_REFUSALS: Final = frozenset({404, 409, 422})
"""Answers that asking again would not change: no such schema, not compatible, not valid."""


class HttpSchemaRegistry:
    """The registry at `url` (`http://registry:8081`, with `user:password@` where it wants them). Calls block."""

    def __init__(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._client = httpx.Client(base_url=url, timeout=timeout_seconds, headers={"Accept": MEDIA_TYPE})

    def schema(self, schema_id: int) -> AvroSchema:
        """The Avro schema of that id. Raises UnknownSchemaError, SchemaRegistryUnavailableError."""
        answer = self._ask("GET", f"/schemas/ids/{schema_id}")
        if answer.get("schemaType", "AVRO") != "AVRO" or answer.get("references"):
            raise UnknownSchemaError(f"schema {schema_id} is no self-contained Avro schema")
        try:
            schema = json.loads(answer["schema"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
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
            response = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise SchemaRegistryUnavailableError(
                f"The schema registry can't be reached ({type(error).__name__}); check COUPONRY_SCHEMA_REGISTRY_URL."
            ) from error
        if response.status_code in _REFUSALS:
            raise UnknownSchemaError(f"the schema registry answered {response.status_code} to {path}")
        if not response.is_success:
            raise SchemaRegistryUnavailableError(f"The schema registry answered {response.status_code} to {path}.")
        try:
            answer = response.json()
        except ValueError as error:
            raise SchemaRegistryUnavailableError(f"The schema registry's answer to {path} is no JSON.") from error
        if not isinstance(answer, dict):
            raise SchemaRegistryUnavailableError(f"The schema registry's answer to {path} is no object.")
        return answer
