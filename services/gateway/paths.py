"""Ids in paths: every id can be addressed, whatever characters it has.

A server decodes a path as a whole, which turns an encoded slash of an id (`/v1/coupons/10%2FOFF/void`) into one that
separates segments. `PathIds` splits the raw path first and decodes each segment on its own. A slash that is written as
it is belongs to an id if the path fits no other route: `/v1/orders/POS/2026/1/cancel`.

Starlette's routing then works on a path in which an id is one segment: its `%` and `/` are escaped. `unescaped` gives
the id back.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

ESCAPED: Final = "couponry.escaped_path"
"""Key in the ASGI scope: ids in the path are escaped."""

UNDECODABLE: Final = "couponry.undecodable_path"
"""Key in the ASGI scope: the path isn't valid UTF-8. The guard refuses the request."""

_DOTS: Final = frozenset({"", ".", ".."})
"""Segments that an id written with plain slashes can't have: proxies and clients remove them."""


@dataclass(frozen=True, slots=True)
class Template:
    """A route's path: its literal segments, with None for a parameter."""

    segments: tuple[str | None, ...]
    methods: frozenset[str]

    def fits(self, segments: Sequence[str]) -> bool:
        """Return whether each parameter is one of `segments`."""
        return len(segments) == len(self.segments) and all(
            one if wanted is None else wanted == one for wanted, one in zip(self.segments, segments, strict=True)
        )

    def joined(self, segments: Sequence[str]) -> list[str] | None:
        """Return the segments with those of the id joined by slashes; None if they don't fit.

        Only for templates with one parameter.
        """
        if self.segments.count(None) != 1 or len(segments) <= len(self.segments):
            return None
        start = self.segments.index(None)
        end = len(segments) - (len(self.segments) - start - 1)
        if not _DOTS.isdisjoint(segments[start:end]):
            return None
        found = [*segments[:start], "/".join(segments[start:end]), *segments[end:]]
        return found if self.fits(found) else None


class PathIds:
    """ASGI middleware that lets ids in paths contain slashes and percent signs."""

    def __init__(self, app: ASGIApp, routes: Iterable[BaseRoute]) -> None:
        self._app = app
        self._templates: list[Template] = []
        self._literal: set[bytes] = set()
        for path, methods in _paths(routes):
            if "{" in path:
                self._templates.append(Template(_segments_of(path), methods))
            else:
                self._literal.add(path.encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application with a path in which each id is one segment."""
        if scope["type"] == "http" and (raw := scope.get("raw_path")) and raw not in self._literal:
            scope = self._resolved(scope, raw)
        await self._app(scope, receive, send)

    def _resolved(self, scope: Scope, raw: bytes) -> Scope:
        segments, decodable = _decoded(raw)
        if not decodable:
            return {**scope, UNDECODABLE: True}
        if not any(template.fits(segments) for template in self._templates):
            segments = self._joined(segments, scope["method"])
        if not any("/" in one or "%" in one for one in segments):
            return scope
        return {**scope, "path": "/".join(map(_escaped, segments)), ESCAPED: True}

    def _joined(self, segments: list[str], method: str) -> list[str]:
        """Return the segments with those of an id joined, if they fit a route then.

        Of several routes, the one with the most literal segments is taken.
        """
        fitting = [
            (len(template.segments), found)
            for template in self._templates
            if method in template.methods and (found := template.joined(segments)) is not None
        ]
        return max(fitting, key=lambda one: one[0])[1] if fitting else segments


def unescaped(segment: str) -> str:
    """Return the id that is escaped in a segment."""
    return segment.replace("%2F", "/").replace("%25", "%")


def _escaped(segment: str) -> str:
    return segment.replace("%", "%25").replace("/", "%2F")


def _decoded(raw: bytes) -> tuple[list[str], bool]:
    """Return the decoded segments of a path, and whether all of them are valid UTF-8."""
    try:
        return [unquote_to_bytes(one).decode() for one in raw.split(b"/")], True
    except UnicodeDecodeError:
        return [], False


def _segments_of(path: str) -> tuple[str | None, ...]:
    return tuple([None if one.startswith("{") else one for one in path.split("/")])


def _paths(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, frozenset[str]]]:
    """Yield the path and the methods of each route, including those of mounted applications."""
    for context in iter_route_contexts(list(routes)):
        route = context.original_route
        if isinstance(route, Mount):
            if isinstance(route.app, FastAPI):
                yield from _paths(route.app.routes, prefix + route.path)
        elif (path := getattr(context, "path_format", None)) is not None:
            yield prefix + path, frozenset(getattr(context, "methods", None) or ())
