"""A request as it is handed over, and the answer that comes back: what both processes know of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from services.gateway.access.callers import Caller
from services.gateway.access.guesses import Ticket
from shared.ledger.pacing import HeavyWork

_Answer = TypeVar("_Answer")

HANDED: Final = "couponry.handed"
"""The key in an ASGI scope under which the heavy process finds the `Handed` of a request."""


@dataclass
class Handed:
    """What the gateway found out about a request. `once`: its idempotency key is looked after by the heavy process."""

    caller: Caller
    ticket: Ticket
    once: bool
    answered: bool = False
    """whether the route gave the answer; the application itself did where it raised a problem"""


HANDED_OVER_WORK: Final = 100_000
"""About 10 ms: half of what is worth a thread, as another process holds up nobody."""


class TakesLongError(Exception):
    """A request that looked light takes much work, and nothing was done yet: the heavy process is to answer it."""


class Elsewhere(HeavyWork):
    """What judges heavy requests where another process does."""

    beyond = HANDED_OVER_WORK

    async def judge(self, judge: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """Raise TakesLongError."""
        raise TakesLongError


class HandedAnswer(Response):
    """An answer of the heavy process, sent in the pieces in which it came."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], pieces: Sequence[bytes], by_route: bool):
        self.status_code = status
        self.raw_headers = list(headers)
        self.background = None
        self.pieces = pieces
        self.by_route = by_route

    @property
    def body(self) -> bytes:  # type: ignore[override]  # Starlette sets it; here it is rarely asked for
        """All of it."""
        return b"".join(self.pieces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def told(request: Request, caller: Caller, *, once: bool) -> dict[str, Any]:
    """Return the head of a request for the other process."""
    scope = request.scope
    return {
        "method": scope["method"],
        "scheme": scope["scheme"],
        "http_version": scope["http_version"],
        "path": scope["path"],
        "raw_path": scope.get("raw_path", b"").decode("latin-1"),
        "query_string": scope.get("query_string", b"").decode("latin-1"),
        "root_path": scope.get("app_root_path", scope.get("root_path", "")),  # without that of a facade
        "headers": texts_of(scope["headers"]),
        "client": scope.get("client"),
        "server": scope.get("server"),
        "caller": caller.name,
        "scopes": sorted(caller.scopes),
        "groups": None if caller.groups is None else sorted(caller.groups),
        "once": once,
    }


def scope_of(head: dict[str, Any], ticket: Ticket) -> dict[str, Any]:
    """Return the ASGI scope of a request that was handed over."""
    groups = head["groups"]
    caller = Caller(head["caller"], frozenset(head["scopes"]), None if groups is None else frozenset(groups))
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "method": head["method"],
        "scheme": head["scheme"],
        "http_version": head["http_version"],
        "path": head["path"],
        "raw_path": head["raw_path"].encode("latin-1"),
        "query_string": head["query_string"].encode("latin-1"),
        "root_path": head["root_path"],
        "headers": bytes_of(head["headers"]),
        "client": head["client"] and tuple(head["client"]),
        "server": head["server"] and tuple(head["server"]),
        "state": {},
        HANDED: Handed(caller, ticket, head["once"]),
    }


def texts_of(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return headers as JSON takes them."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def bytes_of(headers: Sequence[Sequence[str]]) -> list[tuple[bytes, bytes]]:
    """Return headers as ASGI takes them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
