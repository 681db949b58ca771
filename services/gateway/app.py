"""The ASGI application: the native API with its documentation, and the facades under their base paths."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Final, NamedTuple

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from services.gateway import docs_page
from services.gateway.access.identify import identify
from services.gateway.facades import capillary, gameball, paddle, sitevibes, voucherify
from services.gateway.gateway import Gateway
from services.gateway.native import campaigns, coupons, imports, jobs, openapi, privacy, reads, redemptions, webhooks
from services.gateway.paths import PathIds
from services.gateway.problems import Problem, handle_http_error, handle_invalid_request, handle_problem
from shared.runtime.http_server import SafeHeaders

ROUTERS = (
    campaigns.router,
    reads.router,
    coupons.router,
    redemptions.router,
    webhooks.router,
    jobs.router,
    imports.router,
    privacy.router,
)


class Facade(NamedTuple):
    """A facade: the vendor's name, the setting of its base path, and the function that creates its application."""

    vendor: str
    path_setting: str
    create: Callable[[Gateway], FastAPI]


FACADES: Final = (
    Facade("SiteVibes", "sitevibes_path", sitevibes.create),
    Facade("Capillary", "capillary_path", capillary.create),
    Facade("Gameball", "gameball_path", gameball.create),
    Facade("Paddle Classic", "paddle_path", paddle.create),
    Facade("Voucherify", "voucherify_path", voucherify.create),
)


class Application(FastAPI):
    """An application that adds browser security headers to every response, and accepts any id in a path."""

    def build_middleware_stack(self) -> ASGIApp:
        """Add the headers and the ids outside of all other middleware."""
        return SafeHeaders(PathIds(super().build_middleware_stack(), self.routes))


def create_app(gateway: Gateway) -> FastAPI:
    """Build the ASGI application of the gateway. The caller stays responsible for closing `gateway`."""
    app = Application(
        title="Couponry",
        version=version("couponry"),
        docs_url=None,
        redoc_url=None,
        exception_handlers={
            Problem: handle_problem,
            RequestValidationError: handle_invalid_request,
            HTTPException: handle_http_error,
        },
    )
    app.state.gateway = gateway
    app.state.identify = identify
    app.state.routers = ROUTERS
    for router in ROUTERS:
        app.include_router(router)
    for facade in FACADES:
        app.mount(getattr(gateway.settings, facade.path_setting), facade.create(gateway))
    docs_page.add_to(app, [facade.vendor for facade in FACADES])
    app.openapi = lambda: openapi.document(app, app.version)  # type: ignore[method-assign]
    return app
