"""The OpenAPI document: FastAPI's, with the bodies that are read from their bytes, and the problems."""

from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from services.gateway.native.bodies import MODELS

PROBLEM: Final[dict[str, Any]] = {
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/ProblemAnswer"}}}
}
PROBLEMS: Final[dict[int | str, dict[str, Any]]] = {
    400: {"description": "The request can't be read.", **PROBLEM},
    401: {"description": "Nobody known.", **PROBLEM},
    403: {"description": "The key's scopes don't allow it.", **PROBLEM},
    404: {"description": "There is no such thing.", **PROBLEM},
    409: {"description": "A request under the same idempotency key is being answered.", **PROBLEM},
    408: {"description": "The request came too slowly.", **PROBLEM},
    413: {"description": "The body is too large.", **PROBLEM},
    414: {"description": "The path and query are too long.", **PROBLEM},
    415: {"description": "The body isn't JSON.", **PROBLEM},
    422: {"description": "Refused, or not as it should be; `code` says which.", **PROBLEM},
    429: {"description": "Too many requests.", **PROBLEM},
    431: {"description": "The headers are too large.", **PROBLEM},
    500: {"description": "A bug of the gateway's.", **PROBLEM},
    503: {"description": "Not at the moment; send the same again.", **PROBLEM},
}
DESCRIPTION: Final = (
    "Coupons at the checkout, in the back office, and what became of them. Amounts are decimal texts, times RFC 3339. "
    "An `Idempotency-Key` makes every POST safe to repeat. Errors are RFC 9457 problems, a refusal's `code` being its "
    "reason."
)


def told(
    model: type[BaseModel], status: int = 200, *, refused: type[BaseModel] | None = None
) -> dict[int | str, dict[str, Any]]:
    """What a route answers: `model`, or one of the problems; `refused` is what a 422 is, where it says more."""
    answers = {
        status: {"description": "Done.", "content": {"application/json": {"schema": _schema(model)}}},
        **PROBLEMS,
    }
    if refused is not None:
        answers[422] = PROBLEMS[422] | {"content": {"application/problem+json": {"schema": _schema(refused)}}}
    return answers


def _schema(model: type[BaseModel]) -> dict[str, str]:
    MODELS[model.__name__] = model
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def document(app: FastAPI, version: str) -> dict[str, Any]:
    """The whole document, made once."""
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
        "key": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of the configured issuer."},
        "basic": {"type": "http", "scheme": "basic", "description": "The API key as the password."},
    }
    made["security"] = [{"key": []}, {"basic": []}]
    for path in made["paths"].values():
        for method, operation in path.items():
            if method == "post":
                operation.setdefault("parameters", []).append(_IDEMPOTENCY_KEY)
    app.openapi_schema = made
    return made


_IDEMPOTENCY_KEY: Final[dict[str, Any]] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and request again: the first answer, byte for byte. Another request: 422.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]{1,255}$"},
}
