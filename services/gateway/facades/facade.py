"""What the facades share: an application of their own, whose errors are told in the vendor's words."""

from collections.abc import Awaitable, Callable
from typing import Any, cast

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from services.gateway import documents
from services.gateway.access.callers import Caller
from services.gateway.gateway import Gateway
from services.gateway.guard import Guarded
from services.gateway.problems import Problem, problem_of

Identify = Callable[[Request, Gateway], Awaitable[Caller]]
Tell = Callable[[Request, Problem], Response]


def new_router() -> APIRouter:
    """A router whose routes are all guarded."""
    return APIRouter(route_class=Guarded)


def new_facade(title: str, gateway: Gateway, router: APIRouter, identify: Identify, tell: Tell) -> FastAPI:
    """An application with `router`, whose every error goes through `tell`."""

    async def problem(request: Request, error: Exception) -> Response:
        return tell(request, cast("Problem", error))

    async def invalid(request: Request, error: Exception) -> Response:
        return tell(request, problem_of(cast("RequestValidationError", error)))

    async def http(request: Request, error: Exception) -> Response:
        told = cast("HTTPException", error)
        code = "not_found" if told.status_code == 404 else "method_not_allowed"
        detail = f"There is nothing at {request.url.path} for {request.method}."
        return tell(request, Problem(told.status_code, code, detail, headers=dict(told.headers or {})))

    app = FastAPI(
        title=title,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        exception_handlers={Problem: problem, RequestValidationError: invalid, HTTPException: http},
    )
    app.state.gateway = gateway
    app.state.identify = identify
    app.include_router(router)
    return app


def json_response(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON as it is kept and sent."""
    return Response(documents.written(document), status, headers, "application/json")
