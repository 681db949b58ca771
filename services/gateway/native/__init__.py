"""The native API, `/v1`: one module a resource."""

from typing import Any

from fastapi import APIRouter

from services.gateway.guard import Guarded


def new_router(tag: str, *dependencies: Any) -> APIRouter:
    """A router of `/v1` whose routes are all guarded, and have `dependencies`."""
    return APIRouter(prefix="/v1", tags=[tag], route_class=Guarded, dependencies=dependencies)
