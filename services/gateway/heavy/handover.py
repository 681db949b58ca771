"""Requests and responses between the gateway process and the heavy process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from fastapi import Request, Response
from starlette.types import Receive, Scope, Send

from services.gateway.access.callers import Caller
from services.gateway.access.guesses import Ticket
from shared.ledger.workload import HeavyWork

_Result = TypeVar("_Result")

HANDED: Final = "couponry.handed"
"""Key of the `Handed` of a request in the ASGI scope."""


@dataclass
class Handed:
    """Results of the gateway process's checks. `handles_key`: the heavy process handles the idempotency key."""

    caller: Caller
    ticket: Ticket
    handles_key: bool
    by_route: bool = False
    """The route returned the response; otherwise it raised a problem."""


HANDED_OVER_WORK: Final = 100_000
"""About 10 ms: half the limit for a thread, because another process delays no other requests."""


class TakesLongError(Exception):
    """A request turned out heavy before anything was changed; the heavy process has to answer it."""


class HeavyWorkElsewhere(HeavyWork):
    """Heavy work of a gateway that has a heavy process."""

    threshold = HANDED_OVER_WORK

    async def judge(self, judge: Callable[..., _Result], *arguments: Any) -> _Result:
        """Refuse the work here: the heavy process does it. Raises TakesLongError."""
        raise TakesLongError


class HeavyResponse(Response):
    """A response of the heavy process, sent in the pieces in which it arrived."""

    def __init__(self, status: int, headers: Sequence[tuple[bytes, bytes]], pieces: Sequence[bytes], by_route: bool):
        self.status_code = status
        self.raw_headers = list(headers)
        self.background = None
        self.pieces = pieces
        self.by_route = by_route

    @property
    def body(self) -> bytes:  # type: ignore[override]  # Starlette sets it; here it is rarely used
        """Return the whole body."""
        return b"".join(self.pieces)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def request_head(request: Request, caller: Caller, *, handles_key: bool) -> dict[str, Any]:
    """Return the head of a request frame."""
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
        "handles_key": handles_key,
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
        HANDED: Handed(caller, ticket, head["handles_key"]),
    }


def texts_of(headers: Sequence[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return ASGI headers as strings, for JSON."""
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]


def bytes_of(headers: Sequence[Sequence[str]]) -> list[tuple[bytes, bytes]]:
    """Return headers in the form of ASGI."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
