"""Errors as RFC 9457 problems: `application/problem+json` with a `code` for programs.

    {"type": "urn:couponry:problem:expired", "title": …, "status": 422, "detail": …, "code": "expired", …}

A refusal of the engine is a problem whose code is the reason. Facades catch the same `Problem` and render it in their
own error format.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

import orjson
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route

from schemas.parsing import expected_of
from shared.domain.model.reasons import SENTENCES, Reason

MEDIA_TYPE: Final = "application/problem+json"
MAX_ERRORS: Final = 20

TITLES: Final[Mapping[str, str]] = {
    "invalid_json": "The body is not valid JSON.",
    "invalid_request": "The request is invalid.",
    "unauthorized": "Authentication failed.",
    "forbidden": "The API key has no permission for this request.",
    "not_found": "Not found.",
    "method_not_allowed": "The path doesn't support this method.",
    "too_large": "The body is too large.",
    "unsupported_media_type": "The media type of the body is not supported.",
    "idempotency_key_reused": "The idempotency key was used for another request.",
    "idempotency_key_in_flight": "A request with this idempotency key is in progress.",
    "rate_limited": "Too many requests.",
    "internal_error": "Internal error.",
    "unavailable": "Temporarily unavailable.",
    "conflict": "The request conflicts with the current state.",
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it that
    """An error response.

    `details`: further members of the problem, JSON-like. `unknown`: how many names in the request don't exist; each
    counts as a guess. It is 1 for a 404 by default.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        details: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        unknown: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.details = dict(details or {})
        self.headers = dict(headers or {})
        self.unknown = int(status == 404) if unknown is None else unknown

    @property
    def title(self) -> str:
        """Return the sentence that all problems of this code share."""
        if self.code in TITLES and (self.code != Reason.NOT_FOUND or "reason" not in self.details):
            return TITLES[self.code]
        return SENTENCES[Reason(self.code)] if self.code in set(Reason) else "The request can't be fulfilled."

    def document(self) -> dict[str, Any]:
        """Return the problem as an RFC 9457 document."""
        return {
            "type": f"urn:couponry:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            **self.details,
        }


def response_of(problem: Problem) -> Response:
    """Render the problem as a response."""
    return Response(orjson.dumps(problem.document()), problem.status, problem.headers, MEDIA_TYPE)


async def handle_problem(request: Request, error: Exception) -> Response:
    """Handle a `Problem`."""
    return response_of(cast("Problem", error))


async def handle_invalid_request(request: Request, error: Exception) -> Response:
    """Handle a request that FastAPI finds invalid."""
    return response_of(problem_of(cast("RequestValidationError", error)))


async def handle_http_error(request: Request, error: Exception) -> Response:
    """Handle errors of the framework, such as an unknown path or an unsupported method."""
    error = cast("HTTPException", error)
    codes = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}
    code = codes.get(error.status_code, "invalid_request")
    detail = {
        404: f"No route matches {request.method} {request.url.path}. See /docs.",
        405: f"{request.url.path} doesn't support {request.method}.",
    }.get(error.status_code, str(error.detail))
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    return response_of(Problem(error.status_code, code, detail, headers=headers))


def _methods(request: Request) -> set[str]:
    """Return all methods that the path supports; the framework's own response lists those of one route only."""
    found: set[str] = set()
    for route in [route for router in request.app.state.routers for route in router.routes]:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            found |= route.methods or set()
    return found


def problem_of(error: RequestValidationError) -> Problem:
    """Return the problem for an invalid request, with the place of each of the first `MAX_ERRORS` errors."""
    found = error.errors()
    broken = next((one for one in found if one["type"] == "json_invalid"), None)
    if broken is not None:
        why = broken.get("ctx", {}).get("error", "it can't be read")
        where = broken["loc"][-1]
        return Problem(400, "invalid_json", f"The body is not valid JSON at character {where}: {why}.")
    errors = [{"place": _place(one["loc"]), "problem": expected_of(one)} for one in found[:MAX_ERRORS]]
    detail = " ".join(f"{one['place']}: {one['problem']}." for one in errors[:5])
    return Problem(422, "invalid_request", detail, details={"errors": errors})


def _place(location: tuple[int | str, ...]) -> str:
    """Format a location, for example `body.order.lines[2].quantity` or `query.limit`."""
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    return place
