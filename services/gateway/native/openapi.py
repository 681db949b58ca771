"""The OpenAPI document: FastAPI's, plus the request bodies that routes parse themselves, and the problems."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.gateway import KEYED_METHODS
from services.gateway.native.bodies import MODELS

PROBLEM: Final[dict[str, Any]] = {
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "The request can't be read.", **PROBLEM},
    401: {"description": "Authentication failed: the API key is missing, unknown or revoked.", **PROBLEM},
    403: {"description": "The API key lacks the required scope.", **PROBLEM},
    404: {"description": "Not found.", **PROBLEM},
    409: {"description": "A request with the same idempotency key is in progress.", **PROBLEM},
    408: {"description": "The request arrived too slowly.", **PROBLEM},
    413: {"description": "The body is too large.", **PROBLEM},
    414: {"description": "The path and query are too long.", **PROBLEM},
    415: {"description": "The body isn't JSON.", **PROBLEM},
    422: {"description": "Refused or invalid; `code` is the reason.", **PROBLEM},
    429: {"description": "Too many requests.", **PROBLEM},
    431: {"description": "The headers are too large.", **PROBLEM},
    500: {"description": "Internal error: a bug in the gateway.", **PROBLEM},
    503: {"description": "Temporarily unavailable; retry the same request.", **PROBLEM},
}
DESCRIPTION: Final = (
    "Validate, lock and redeem coupons, manage campaigns, and read reports. Amounts are decimal strings, times are "
    "RFC 3339. With an `Idempotency-Key`, every POST, PATCH and PUT is safe to retry. Errors are RFC 9457 problems; "
    "the `code` of a refusal is its reason."
)


def responses_of(
    model: type[BaseModel], status: int = 200, *, refused: type[BaseModel] | None = None
) -> dict[int | str, dict[str, Any]]:
    """Return a route's `responses`: `model`, and the problems. `refused` replaces the model of a 422."""
    documented = {
        status: {"description": "Success.", "content": {"application/json": {"schema": _schema(model)}}},
        **PROBLEMS,
    }
    if refused is not None:
        documented[422] = PROBLEMS[422] | {"content": {"application/problem+json": {"schema": _schema(refused)}}}
    return documented


def _schema(model: type[BaseModel]) -> dict[str, str]:
    MODELS[model.__name__] = model
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def document(app: FastAPI, version: str) -> dict[str, Any]:
    """Return the document; it is built once."""
    if app.openapi_schema is not None:
        return app.openapi_schema
    made = get_openapi(
        title="Couponry", version=version, openapi_version="3.1.0", description=DESCRIPTION, routes=app.routes
    )
    _, schemas = models_json_schema(
        [(model, "validation") for model in MODELS.values()], ref_template="#/components/schemas/{model}"
    )
    components = made.setdefault("components", {})
    components.setdefault("schemas", {}).update(schemas.get("$defs", {}))
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, or a token from the configured issuer.",
        },
        "basic": {"type": "http", "scheme": "basic", "description": "The API key as the password."},
    }
    made["security"] = [{"key": []}, {"basic": []}]
    for path in made["paths"].values():
        for method, operation in path.items():
            if method.upper() in KEYED_METHODS:
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    app.openapi_schema = made
    return made


_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A retry with the same key gets the first response, byte for byte. A different request gets a 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"},
}
