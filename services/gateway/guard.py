"""What every request passes before its route: who it is from, how often they ask, and whether it was answered before.

`Guarded` is the route class of every router here and in the facades, so no route can be without it. How a caller shows
who they are is the application's: `app.state.identify`.
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

from services.gateway.access.callers import CALLING, Caller, Scope
from services.gateway.access.guesses import Ticket
from services.gateway.access.identify import address_of
from services.gateway.batching import NOT_NOW
from services.gateway.gateway import BUG, Gateway, gateway_of
from services.gateway.heavy.handed import HANDED, Handed, HandedAnswer, TakesLongError
from services.gateway.heavy.process import HANDED_OVER_BYTES, HeavyProcess
from services.gateway.idempotency import KeptAnswer, Place, check_key, fingerprint
from services.gateway.problems import Problem
from services.gateway.settings import EARLY_BODY_BYTES, MAX_BODY_BYTES
from shared.runtime import telemetry
from shared.runtime.encryption import EncryptionError
from shared.runtime.logging import get_logger

log = get_logger("gateway")

Handler = Callable[[Request], Awaitable[Response]]
STREAMED: Final = "x-streamed-body"
"""In a route's `openapi_extra`: its body is read as a stream, so it has no bound and no idempotency key."""

UNKEPT: Final = frozenset({401, 403, 408, 409, 429})
"""Answers that say nothing of the request itself; it may be tried again under the same key."""


class Guarded(APIRoute):
    """A route behind authentication, rates and idempotency keys."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()
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
                log.exception("a bug: answered as an internal error", path=request.url.path)
                raise Problem(500, "internal_error", BUG) from error
            finally:
                if HANDED not in request.scope:  # else the process that handed it over counts
                    telemetry.HTTP_ANSWERS.labels(api, str(status)).inc()
                    telemetry.HTTP_SECONDS.labels(api).observe(time.perf_counter() - started)
            return response

        async def bounded(request: Request) -> Response:
            gateway = gateway_of(request)
            try:
                async with asyncio.timeout(None if streamed else gateway.settings.http_answer_seconds):
                    return await _guarded(request, gateway, answer, streamed)
            except TimeoutError:
                raise not_now("no answer in time") from None
            except asyncpg.DataError as error:
                raise Problem(
                    422, "invalid_request", f"The ledger can't take a value of the request: {error}"
                ) from None
            except EncryptionError as error:  # a key is missing: a person has to set it
                raise Problem(503, "unavailable", str(error)) from error
            except NOT_NOW as error:
                raise not_now(repr(error)) from error
            except ClientDisconnect:  # nobody reads this; it is counted
                raise Problem(400, "invalid_request", "The client left before its request was whole.") from None

        return guarded


async def _guarded(request: Request, gateway: Gateway, answer: Handler, streamed: bool) -> Response:
    """The answer to a request that passes: a bound after the other, the cheap ones first, its body last."""
    if "\0" in request.scope["path"] or b"%00" in request.scope.get("query_string", b""):
        raise Problem(422, "invalid_request", "The address holds the character NUL, which nothing here is called by.")
    if HANDED in request.scope:
        return await _handed_over(request, gateway, answer)
    address = address_of(request)
    with gateway.addresses_at_once.one(address):
        caller: Caller = await request.app.state.identify(request, gateway)
        request.state.caller = caller
        CALLING.set(caller)
        with gateway.callers_at_once.one(caller.name):
            headers = await gateway.rates.admit(caller)
            ticket = gateway.guesses.ticket(caller.name, address, request.app.title)
            request.state.guesses = ticket
            ticket.check()
            taken = 0 if streamed else await _bounded_body(request, gateway)
            try:
                if gateway.process is not None and taken > HANDED_OVER_BYTES:
                    response: Response = await _elsewhere(request, gateway.process, ticket)
                else:
                    response = await _counted(request, gateway, answer, ticket, streamed=streamed)
            finally:
                gateway.bodies.give_back(taken)
    if not isinstance(response, HandedAnswer) or response.by_route:
        _add(response, headers)
    return response


async def _elsewhere(request: Request, process: HeavyProcess, ticket: Ticket) -> Response:
    """The answer of the process for heavy requests, which looks after idempotency keys itself."""
    try:
        await ticket.begin()
        return await process.answer(request, caller_of(request), ticket)
    finally:
        await ticket.end()


async def _handed_over(request: Request, gateway: Gateway, answer: Handler) -> Response:
    """The answer to a request that another process handed over after everything that comes before its route."""
    handed: Handed = request.scope[HANDED]
    request.state.caller = handed.caller
    CALLING.set(handed.caller)
    request.state.guesses = handed.ticket
    response = await _counted(request, gateway, answer, handed.ticket, streamed=False, once=handed.once)
    handed.answered = True
    return response


async def _counted(
    request: Request, gateway: Gateway, answer: Handler, ticket: Ticket, *, streamed: bool, once: bool = True
) -> Response:
    """The answer, sent after what it says there is none of was counted. `once`: looking after idempotency keys."""

    async def told(request: Request) -> Response:
        try:
            response = await answer(request)
        except TakesLongError:
            if gateway.process is None:
                raise
            return await gateway.process.answer(request, caller_of(request), ticket, once=False)
        except Problem as problem:
            if problem.unknown and not ticket.reported:
                ticket.report(problem.unknown)
            raise
        if response.status_code == 404 and not ticket.reported:
            ticket.report(1)
        return response

    try:
        await ticket.begin(waits=not streamed and HANDED not in request.scope)
        place = _place(request, caller_of(request)) if once else None  # also checks the key, which streams don't use
        return await told(request) if place is None or streamed else await _once(request, gateway, told, place)
    finally:
        await ticket.end()


async def _once(request: Request, gateway: Gateway, answer: Handler, place: Place) -> Response:
    """The kept answer, or the route's, kept before it is sent."""
    target = f"{request.scope.get('root_path', '')}{request.url.path}?{request.url.query}"
    content_type = request.headers.get("content-type", "")
    asked = fingerprint(request.method, target, content_type, await request.body())
    kept = await gateway.idempotency.begin(place, asked)
    if kept is not None:
        return Response(kept.body, kept.status, {"Idempotent-Replayed": "true"}, kept.media_type or None)
    try:
        response = await _told(request, answer)
        if response.status_code >= 500 or response.status_code in UNKEPT or not isinstance(response.body, bytes):
            return response
        media_type = response.headers.get("content-type", "")
        await gateway.idempotency.keep(place, KeptAnswer(response.status_code, media_type, response.body))
        return response
    finally:
        gateway.idempotency.give_up(place)


async def _told(request: Request, answer: Handler) -> Response:
    """The route's answer; what it raises as the application tells it, since that is an answer too."""
    try:
        return await answer(request)
    except (Problem, RequestValidationError, HTTPException) as error:
        kinds = (kind for kind in type(error).__mro__ if kind in request.app.exception_handlers)
        handler = request.app.exception_handlers[next(kinds)]
        told: Response = await handler(request, error)
        return told


async def early_body(request: Request) -> None:
    """Read a body that says who calls, which nobody has said yet: a small one. Raises a Problem (413)."""
    await _read(request, EARLY_BODY_BYTES)


async def _bounded_body(request: Request, gateway: Gateway) -> int:
    """Read the body, which later reads find read. Return what it takes of `gateway.bodies`.

    Raises a Problem (413); OverloadedError where the bodies of others fill the memory that there is for them.
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


async def _read(request: Request, most: int, take: Callable[[int], None] = lambda size: None) -> None:
    if hasattr(request, "_body"):
        return
    told = request.headers.get("content-length")
    if told is not None and told.isdecimal() and int(told[:20]) > most:
        raise _too_large(most)
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > most:
            raise _too_large(most)
        take(len(chunk))
        chunks.append(chunk)
    request._body = b"".join(chunks)


def _too_large(most: int) -> Problem:
    return Problem(413, "too_large", f"A body has at most {most:,} bytes here.")


def report_unknown(request: Request, unknown: int) -> None:
    """Count so many guesses for an answer that says "none" without a 404. What `Gateway` is asked counts by itself."""
    ticket: Ticket = request.state.guesses
    ticket.report(unknown)


def _place(request: Request, caller: Caller) -> Place | None:
    key = request.headers.get("idempotency-key")
    if key is None or request.method != "POST":
        return None
    return caller.name, check_key(key)


def not_now(why: str) -> Problem:
    """The ledger is away, or too much waits: nothing is lost, and the same request later is right."""
    log.warning("not answered", problem=why)
    return Problem(
        503, "unavailable", "The ledger doesn't answer at the moment. Send the same request again, under the same "
        "Idempotency-Key if it changes something.",
        headers={"Retry-After": "1"},
    )  # fmt: skip


def _add(response: Response, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        response.headers.setdefault(name, value)


def caller_of(request: Request) -> Caller:
    """Who the request is from."""
    caller: Caller = request.state.caller
    return caller


async def here(request: Request) -> Gateway:
    """A dependency: the gateway. Not a plain function, since FastAPI takes those to another thread."""
    return gateway_of(request)


def needs(scope: Scope) -> Callable[[Request], Awaitable[Caller]]:
    """A dependency: the caller, who must have the scope."""

    async def who(request: Request) -> Caller:
        caller = caller_of(request)
        caller.must(scope)
        return caller

    return who


async def sees_all(request: Request) -> None:
    """A dependency: nobody who is bound to groups of campaigns."""
    caller_of(request).must_see_all()


Here = Annotated[Gateway, Depends(here)]
MayIssue = Annotated[Caller, Depends(needs("issue"))]
MayValidate = Annotated[Caller, Depends(needs("validate"))]
MayRedeem = Annotated[Caller, Depends(needs("redeem"))]
MayManage = Annotated[Caller, Depends(needs("manage"))]
MayRead = Annotated[Caller, Depends(needs("read"))]
MayErase = Annotated[Caller, Depends(needs("privacy"))]
"""What routes ask for: the gateway, and a caller with a scope."""
