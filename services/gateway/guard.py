"""Checks before every route: authentication, rate and concurrency limits, and idempotency keys.

`Guarded` is the route class of every router here and in the facades, so every route has these checks. Each application
defines how callers authenticate: `app.state.identify`.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Annotated, Any, Final

import asyncpg
from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match
from starlette.types import Scope as AsgiScope

from services.gateway.access.callers import CURRENT_CALLER, Caller, Scope
from services.gateway.access.guesses import Ticket
from services.gateway.access.identify import address_of
from services.gateway.batching import TEMPORARY_ERRORS
from services.gateway.gateway import BUG, KEYED_METHODS, Gateway, gateway_of
from services.gateway.heavy.handover import HANDED, Handed, HeavyResponse, TakesLongError
from services.gateway.heavy.process import HANDED_OVER_BYTES, HeavyProcess
from services.gateway.idempotency import Place, StoredResponse, check_key, fingerprint
from services.gateway.paths import ESCAPED, UNDECODABLE, unescaped
from services.gateway.problems import Problem
from services.gateway.settings import EARLY_BODY_BYTES, MAX_BODY_BYTES
from shared.runtime import telemetry
from shared.runtime.encryption import EncryptionError
from shared.runtime.logging import get_logger

log = get_logger("gateway")

Handler = Callable[[Request], Awaitable[Response]]
STREAMED: Final = "x-streamed-body"
"""In a route's `openapi_extra`: the body is read as a stream, without size limit and idempotency key."""

UNSTORED: Final = frozenset({401, 403, 408, 409, 429})
"""Responses that don't depend on the request itself; it may be retried with the same idempotency key."""


class Guarded(APIRoute):
    """A route with authentication, rate limits and idempotency keys, and with any id in its path."""

    def matches(self, scope: AsgiScope) -> tuple[Match, AsgiScope]:
        """Match the path, and take the ids out of it."""
        match, found = super().matches(scope)
        if match is not Match.NONE and ESCAPED in scope:
            found["path_params"] = {name: unescaped(value) for name, value in found["path_params"].items()}
        return match, found

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        streamed = bool((self.openapi_extra or {}).get(STREAMED))

        async def guarded(request: Request) -> Response:
            started, status, api = time.perf_counter(), 500, request.app.title
            try:
                response = await bounded(request)
                status = response.status_code
            except (Problem, HTTPException) as error:
                status = error.status if isinstance(error, Problem) else error.status_code
                raise
            except RequestValidationError:
                status = 422
                raise
            except Exception as error:
                log.exception("bug in a route: responded with 500", path=request.url.path)
                raise Problem(500, "internal_error", BUG) from error
            finally:
                if HANDED not in request.scope:  # otherwise the gateway process counts the response
                    telemetry.HTTP_RESPONSES.labels(api, str(status)).inc()
                    telemetry.HTTP_SECONDS.labels(api).observe(time.perf_counter() - started)
            return response

        async def bounded(request: Request) -> Response:
            gateway = gateway_of(request)
            try:
                async with asyncio.timeout(None if streamed else gateway.settings.http_answer_seconds):
                    return await _guarded(request, gateway, handler, streamed)
            except TimeoutError:
                raise unavailable("the request timed out") from None
            except asyncpg.DataError as error:
                raise Problem(
                    422, "invalid_request", f"The ledger can't store a value of the request: {error}"
                ) from None
            except EncryptionError as error:  # an operator has to set the missing key
                raise Problem(503, "unavailable", str(error)) from error
            except TEMPORARY_ERRORS as error:
                raise unavailable(repr(error)) from error
            except ClientDisconnect:  # the response is not sent, only counted
                raise Problem(
                    400, "invalid_request", "The client disconnected before the request was complete."
                ) from None

        return guarded


async def _guarded(request: Request, gateway: Gateway, handler: Handler, streamed: bool) -> Response:
    """Check a request and return the response of its route. Cheap checks come first; the body is read last."""
    if UNDECODABLE in request.scope:
        raise Problem(400, "invalid_request", "The path is not valid UTF-8. Percent-encode each id in it, a % as %25.")
    if "\0" in request.scope["path"] or b"%00" in request.scope.get("query_string", b""):
        raise Problem(422, "invalid_request", "The URL contains the character NUL, which is not allowed.")
    if HANDED in request.scope:
        return await _handed_over(request, gateway, handler)
    address = address_of(request)
    with gateway.addresses_at_once.admit(address):
        caller: Caller = await request.app.state.identify(request, gateway)
        request.state.caller = caller
        CURRENT_CALLER.set(caller)
        with gateway.callers_at_once.admit(caller.name):
            headers = await gateway.rates.admit(caller)
            ticket = gateway.guesses.ticket(caller.name, address, request.app.title)
            request.state.guesses = ticket
            ticket.check()
            taken = 0 if streamed else await _bounded_body(request, gateway)
            try:
                if gateway.process is not None and taken > HANDED_OVER_BYTES:
                    response: Response = await _in_heavy_process(request, gateway.process, ticket)
                else:
                    response = await _counted(request, gateway, handler, ticket, streamed=streamed)
            finally:
                gateway.bodies.give_back(taken)
    if not isinstance(response, HeavyResponse) or response.by_route:
        _add(response, headers)
    return response


async def _in_heavy_process(request: Request, process: HeavyProcess, ticket: Ticket) -> Response:
    """Return the response of the heavy process, which handles the idempotency key itself."""
    try:
        await ticket.begin()
        return await process.answer(request, caller_of(request), ticket)
    finally:
        await ticket.end()


async def _handed_over(request: Request, gateway: Gateway, handler: Handler) -> Response:
    """Answer a request in the heavy process. The gateway process has already made all checks."""
    handed: Handed = request.scope[HANDED]
    request.state.caller = handed.caller
    CURRENT_CALLER.set(handed.caller)
    request.state.guesses = handed.ticket
    response = await _counted(request, gateway, handler, handed.ticket, streamed=False, handles_key=handed.handles_key)
    handed.by_route = True
    return response


async def _counted(
    request: Request, gateway: Gateway, handler: Handler, ticket: Ticket, *, streamed: bool, handles_key: bool = True
) -> Response:
    """Return the response of a route, after counting its wrong guesses. `handles_key`: handle the idempotency key."""

    async def respond(request: Request) -> Response:
        try:
            response = await handler(request)
        except TakesLongError:
            if gateway.process is None:
                raise
            return await gateway.process.answer(request, caller_of(request), ticket, handles_key=False)
        except Problem as problem:
            if problem.unknown and not ticket.reported:
                ticket.report(problem.unknown)
            raise
        if response.status_code == 404 and not ticket.reported:
            ticket.report(1)
        return response

    try:
        await ticket.begin(waits=not streamed and HANDED not in request.scope)
        place = (
            _place(request, caller_of(request)) if handles_key else None
        )  # also checks the key, which streams don't use
        return (
            await respond(request)
            if place is None or streamed
            else await _with_idempotency_key(request, gateway, respond, place)
        )
    finally:
        await ticket.end()


async def _with_idempotency_key(request: Request, gateway: Gateway, handler: Handler, place: Place) -> Response:
    """Return the recorded response of the key, or record the route's response before it is sent."""
    target = f"{request.scope.get('root_path', '')}{request.url.path}?{request.url.query}"
    content_type = request.headers.get("content-type", "")
    requested = fingerprint(request.method, target, content_type, await request.body())
    stored = await gateway.idempotency.begin(place, requested)
    if stored is not None:
        return Response(stored.body, stored.status, {"Idempotent-Replayed": "true"}, stored.media_type or None)
    try:
        response = await _response_of(request, handler)
        if response.status_code >= 500 or response.status_code in UNSTORED or not isinstance(response.body, bytes):
            return response
        media_type = response.headers.get("content-type", "")
        await gateway.idempotency.store(place, StoredResponse(response.status_code, media_type, response.body))
        return response
    finally:
        gateway.idempotency.abandon(place)


async def _response_of(request: Request, handler: Handler) -> Response:
    """Return the response of a route. Errors that it raises are rendered by the application's handlers."""
    try:
        return await handler(request)
    except (Problem, RequestValidationError, HTTPException) as error:
        kinds = (kind for kind in type(error).__mro__ if kind in request.app.exception_handlers)
        render = request.app.exception_handlers[next(kinds)]
        response: Response = await render(request, error)
        return response


async def early_body(request: Request) -> None:
    """Read a small body that identifies its caller, before authentication. Raises a Problem (413)."""
    await _read(request, EARLY_BODY_BYTES)


async def _bounded_body(request: Request, gateway: Gateway) -> int:
    """Read the body into the request. Return the number of bytes taken from `gateway.bodies`.

    Raises a Problem (413), or OverloadedError if other bodies use up the memory for bodies.
    """
    taken = 0

    def take(size: int) -> None:
        nonlocal taken
        gateway.bodies.take(size)
        taken += size

    try:
        await _read(request, MAX_BODY_BYTES, take)
    except BaseException:
        gateway.bodies.give_back(taken)
        raise
    return taken


async def _read(request: Request, max_bytes: int, take: Callable[[int], None] = lambda size: None) -> None:
    if hasattr(request, "_body"):
        return
    content_length = request.headers.get("content-length")
    if content_length is not None and content_length.isdecimal() and int(content_length[:20]) > max_bytes:
        raise _too_large(max_bytes)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise _too_large(max_bytes)
        take(len(chunk))
        chunks.append(chunk)
    request._body = b"".join(chunks)


def _too_large(max_bytes: int) -> Problem:
    return Problem(413, "too_large", f"The body is too large. At most {max_bytes:,} bytes are accepted.")


def report_unknown(request: Request, unknown: int) -> None:
    """Count `unknown` wrong guesses for a response that finds nothing but is not a 404. `Gateway` counts its own."""
    ticket: Ticket = request.state.guesses
    ticket.report(unknown)


def _place(request: Request, caller: Caller) -> Place | None:
    key = request.headers.get("idempotency-key")
    if key is None or request.method not in KEYED_METHODS:
        return None
    return caller.name, check_key(key)


def unavailable(why: str) -> Problem:
    """Return the 503 for an unavailable ledger or a full queue. The request can be retried unchanged."""
    log.warning("responded with 503", problem=why)
    return Problem(
        503, "unavailable", "The ledger is temporarily unavailable. Retry the same request, with the same "
        "Idempotency-Key if it changes something.",
        headers={"Retry-After": "1"},
    )  # fmt: skip


def _add(response: Response, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        response.headers.setdefault(name, value)


def caller_of(request: Request) -> Caller:
    """Return the caller that the request was authenticated as."""
    caller: Caller = request.state.caller
    return caller


async def current_gateway(request: Request) -> Gateway:
    """Return the gateway (dependency). Async, because FastAPI runs plain functions in another thread."""
    return gateway_of(request)


def needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """Build a dependency that returns the caller and requires `scope`."""

    async def caller_with_scope(request: Request) -> Caller:
        caller = caller_of(request)
        caller.require_scope(scope)
        return caller

    return caller_with_scope


async def require_unrestricted(request: Request) -> None:
    """Refuse callers that are limited to some groups of campaigns (dependency)."""
    caller_of(request).require_all_groups()


CurrentGateway = Annotated[Gateway, Depends(current_gateway)]
CanIssue = Annotated[Caller, Depends(needs("issue"))]
CanValidate = Annotated[Caller, Depends(needs("validate"))]
CanRedeem = Annotated[Caller, Depends(needs("redeem"))]
CanManage = Annotated[Caller, Depends(needs("manage"))]
CanRead = Annotated[Caller, Depends(needs("read"))]
CanErase = Annotated[Caller, Depends(needs("privacy"))]
"""Parameter types of routes: the gateway, and a caller with a scope."""
