"""The native API, `/v1`: one module per resource."""

from typing import Any

from fastapi import APIRouter

from services.gateway.guard import Guarded


def new_router(tag: str, *dependencies: Any) -> APIRouter:
    """Return a router under `/v1` whose routes are all guarded and have `dependencies`."""
    return APIRouter(prefix="/v1", tags=[tag], route_class=Guarded, dependencies=dependencies)
