"""Shared code of the facades. Each is an application of its own that renders errors in the vendor's format."""

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
RenderProblem = Callable[[Request, Problem], Response]


def new_router() -> APIRouter:
    """Return a router whose routes are all guarded."""
    return APIRouter(route_class=Guarded)


def new_facade(title: str, gateway: Gateway, router: APIRouter, identify: Identify, render: RenderProblem) -> FastAPI:
    """Return an application with `router`. All errors are rendered by `render`."""

    async def problem(request: Request, error: Exception) -> Response:
        return render(request, cast("Problem", error))

    async def invalid(request: Request, error: Exception) -> Response:
        return render(request, problem_of(cast("RequestValidationError", error)))

    async def http(request: Request, error: Exception) -> Response:
        error = cast("HTTPException", error)
        code = "not_found" if error.status_code == 404 else "method_not_allowed"
        detail = f"No route matches {request.method} {request.url.path}."
        return render(request, Problem(error.status_code, code, detail, headers=dict(error.headers or {})))

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
    """Return a JSON response."""
    return Response(documents.written(document), status, headers, "application/json")
