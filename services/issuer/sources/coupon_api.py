"""One question to an external coupon API: POST `{"email": …}`, a 2xx JSON answer with a `coupon_code`.

Source of the contract: the published "custom coupon" API of reward engines, seen from the side that calls.
Whatever the API does (hang, drip, redirect, answer with a megabyte, answer nonsense), a question ends within
`ApiLimits.total_seconds` as an `Answer`; it never raises for what the other side did.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import httpx
import orjson
import stamina

from shared.domain.model.campaign import Source
from shared.outgoing import transport
from shared.outgoing.addresses import AddressRefusedError, Resolve, UrlRefusedError, check_url, resolve

ALLOW_PRIVATE: Final = "COUPONRY_SOURCES_ALLOW_PRIVATE"

MAX_BODY_BYTES = 64 * 1024
"""An answer is one code; what is longer is not this API."""

MAX_CODE_LENGTH = 255
"""Longest code taken, in characters: that of every identifier in the events."""

MAX_ERROR_LENGTH = 500
"""Longest error text kept beside a request, in characters."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a question: the code (`""` where the campaign goes without codes), or why there is none."""

    code: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Bounds of a question: `try_seconds` of one try, `total_seconds` of all tries and the pauses between them.

    `allow_private`: sources may have http:// URLs and addresses that aren't public.
    """

    attempts: int = 3
    try_seconds: float = 3.0
    total_seconds: float = 10.0
    allow_private: bool = False


class _AgainError(Exception):
    """The API could not answer now and may later. `pause_seconds` is what it asked for, None where it named nothing."""

    def __init__(self, text: str, pause_seconds: float | None = None) -> None:
        super().__init__(text)
        self.pause_seconds = pause_seconds


class _RefusedError(Exception):
    """The API answered, and no code can be had from its answer."""


def open_client(limits: ApiLimits, connections: int, resolver: Resolve = resolve) -> httpx.AsyncClient:
    """Return a client that connects to checked addresses only and follows no redirects.

    A redirect would carry the configured headers, secrets among them, elsewhere.
    """
    return transport.open_client(
        allow_private=limits.allow_private,
        connections=connections,
        timeout_seconds=limits.try_seconds,
        user_agent="Couponry-Sources",
        resolver=resolver,
    )


async def ask(client: httpx.AsyncClient, source: Source, email: str, idempotency_key: str, limits: ApiLimits) -> Answer:
    """Ask `source` for a code for `email`. Transport errors, 429 and 5xx are tried again, with the same key."""
    try:
        check_url(source.url or "", allow_private=limits.allow_private, setting=ALLOW_PRIVATE)
        async with asyncio.timeout(limits.total_seconds):
            # The timeout above bounds the tries; stamina's own would only look at the clock between them.
            async for attempt in stamina.retry_context(
                on=_pause, attempts=limits.attempts, timeout=None, wait_initial=0.2, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    body = await _post(client, source, email, idempotency_key, limits.try_seconds)
                    return Answer(_code(body, source.without_code))
    except TimeoutError:
        return Answer(None, f"No answer within {limits.total_seconds:g} seconds.")
    except (_AgainError, _RefusedError, AddressRefusedError, UrlRefusedError) as error:
        return Answer(None, str(error)[:MAX_ERROR_LENGTH])
    except httpx.HTTPError as error:
        return Answer(None, f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH])
    except (httpx.InvalidURL, UnicodeError) as error:
        return Answer(None, f"The campaign's source can't be called: {error}"[:MAX_ERROR_LENGTH])
    raise AssertionError("every try either returns or raises")


def _pause(error: Exception) -> bool | float:
    """Whether to try again, or after how many seconds."""
    if isinstance(error, _AgainError):
        return True if error.pause_seconds is None else error.pause_seconds
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


async def _post(
    client: httpx.AsyncClient, source: Source, email: str, idempotency_key: str, try_seconds: float
) -> bytes:
    # Compression is declined: a small answer can unpack to one that no memory holds.
    headers = httpx.Headers({"Accept": "application/json", "Accept-Encoding": "identity"})
    headers.update(dict(source.headers))
    headers["Idempotency-Key"] = idempotency_key
    try:
        # httpx's timeouts count from byte to byte; an answer that drips in would outlast them.
        async with (
            asyncio.timeout(try_seconds),
            client.stream(
                "POST", source.url or "", json={"email": email}, headers=headers, timeout=try_seconds
            ) as response,
        ):
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.status_code >= 500:
                raise _AgainError(f"Answered with status {response.status_code}.", _retry_after(response))
            if not response.is_success:
                raise _RefusedError(f"Answered with status {response.status_code}.")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _RefusedError(f"Answered with more than {MAX_BODY_BYTES} bytes.")
            return bytes(body)
    except TimeoutError:
        raise _AgainError(f"No answer within {try_seconds:g} seconds.") from None


def _retry_after(response: httpx.Response) -> float | None:
    """The seconds of a Retry-After header; its other form, a date, is not honoured."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _code(body: bytes, without_code: bool) -> str:
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _RefusedError("Answered with something that is not JSON.") from None
    code = answer.get("coupon_code") if isinstance(answer, dict) else None
    if not isinstance(code, str):
        raise _RefusedError("Answered without a coupon_code.")
    code = code.strip()
    if without_code:
        return ""  # the contract: "the value will be ignored"
    if not code:
        raise _RefusedError("Answered with an empty coupon_code, and the campaign is not one without codes.")
    if len(code) > MAX_CODE_LENGTH or not code.isprintable():
        raise _RefusedError("Answered with a coupon_code that nobody could type.")
    return code
