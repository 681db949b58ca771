"""Request a code from an external coupon API: POST `{"email": …}`, expect 2xx JSON with a `coupon_code`.

Source of the contract: the published "custom coupon" API of reward engines, seen from the caller's side.
Whatever the API does (hang, drip, redirect, send a megabyte or nonsense), a request ends within
`ApiLimits.total_seconds` with a `CodeResult`; the other side's behaviour never raises an error.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import httpx
import orjson
import stamina

from shared.domain.model.campaign import Source
from shared.domain.model.coupon import code_key
from shared.outgoing import transport
from shared.outgoing.addresses import AddressRefusedError, Resolve, UrlRefusedError, check_url, resolve

ALLOW_PRIVATE: Final = "COUPONRY_SOURCES_ALLOW_PRIVATE"

MAX_BODY_BYTES = 64 * 1024
"""The longest response body read, in bytes. A response holds one code, so a longer one is not from this API."""

MAX_CODE_LENGTH = 255
"""The longest code accepted, in characters: the same limit as for every identifier in the events."""

MAX_ERROR_LENGTH = 500
"""The longest error text stored with a request, in characters."""


@dataclass(frozen=True, slots=True)
class CodeResult:
    """The outcome of a request: the code (`""` if the campaign goes without codes), or why there is none."""

    code: str | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class ApiLimits:
    """Limits of a request: `try_seconds` for one attempt, `total_seconds` for all attempts and the pauses between.

    `allow_private`: allow sources with http:// URLs and non-public addresses.
    """

    attempts: int = 3
    try_seconds: float = 3.0
    total_seconds: float = 10.0
    allow_private: bool = False


class _RetryableError(Exception):
    """The API can't answer now but may later. `pause_seconds` is its Retry-After, None if it sent none."""

    def __init__(self, message: str, pause_seconds: float | None = None) -> None:
        super().__init__(message)
        self.pause_seconds = pause_seconds


class _RefusedError(Exception):
    """The API responded, but without a usable code."""


def open_client(limits: ApiLimits, connections: int, resolver: Resolve = resolve) -> httpx.AsyncClient:
    """Return a client that connects to checked addresses only and follows no redirects.

    A redirect would send the configured headers, which may hold secrets, to another host.
    """
    return transport.open_client(
        allow_private=limits.allow_private,
        connections=connections,
        timeout_seconds=limits.try_seconds,
        user_agent="Couponry-Sources",
        resolver=resolver,
    )


async def request_code(
    client: httpx.AsyncClient, source: Source, email: str, idempotency_key: str, limits: ApiLimits
) -> CodeResult:
    """Request a code for `email` from `source`. Transport errors, 429 and 5xx are retried with the same key."""
    try:
        check_url(source.url or "", allow_private=limits.allow_private, setting=ALLOW_PRIVATE)
        async with asyncio.timeout(limits.total_seconds):
            # The timeout above limits each attempt too; stamina's own is only checked between attempts.
            async for attempt in stamina.retry_context(
                on=_retry_pause, attempts=limits.attempts, timeout=None, wait_initial=0.2, wait_max=2.0, wait_jitter=0.2
            ):
                with attempt:
                    body = await _post(client, source, email, idempotency_key, limits.try_seconds)
                    return CodeResult(_code(body, source.without_code))
    except TimeoutError:
        return CodeResult(None, f"No response within {limits.total_seconds:g} seconds.")
    except (_RetryableError, _RefusedError, AddressRefusedError, UrlRefusedError) as error:
        return CodeResult(None, str(error)[:MAX_ERROR_LENGTH])
    except httpx.HTTPError as error:
        return CodeResult(None, f"{type(error).__name__}: {error}"[:MAX_ERROR_LENGTH])
    except (httpx.InvalidURL, UnicodeError) as error:
        return CodeResult(None, f"The campaign's source can't be called: {error}"[:MAX_ERROR_LENGTH])
    raise AssertionError("every attempt either returns or raises")


def _retry_pause(error: Exception) -> bool | float:
    """Return whether to retry, or the seconds to wait before the retry."""
    if isinstance(error, _RetryableError):
        return True if error.pause_seconds is None else error.pause_seconds
    return isinstance(error, httpx.TransportError) and not isinstance(error, httpx.UnsupportedProtocol)


async def _post(
    client: httpx.AsyncClient, source: Source, email: str, idempotency_key: str, try_seconds: float
) -> bytes:
    # Compression is declined: a small response could unpack to more than fits in memory.
    headers = httpx.Headers({"Accept": "application/json", "Accept-Encoding": "identity"})
    headers.update(dict(source.headers))
    headers["Idempotency-Key"] = idempotency_key
    try:
        # httpx's timeouts restart at each byte, so a response that drips in would outlast them.
        async with (
            asyncio.timeout(try_seconds),
            client.stream(
                "POST", source.url or "", json={"email": email}, headers=headers, timeout=try_seconds
            ) as response,
        ):
            if response.status_code == httpx.codes.TOO_MANY_REQUESTS or response.status_code >= 500:
                raise _RetryableError(f"Responded with status {response.status_code}.", _retry_after(response))
            if not response.is_success:
                raise _RefusedError(f"Responded with status {response.status_code}.")
            body = bytearray()
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise _RefusedError(f"Responded with more than {MAX_BODY_BYTES} bytes.")
            return bytes(body)
    except TimeoutError:
        raise _RetryableError(f"No response within {try_seconds:g} seconds.") from None


def _retry_after(response: httpx.Response) -> float | None:
    """Return the seconds of a Retry-After header. Not supported: its other form, a date."""
    text = response.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _code(body: bytes, without_code: bool) -> str:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _RefusedError("Responded with something that is not JSON.") from None
    code = document.get("coupon_code") if isinstance(document, dict) else None
    if not isinstance(code, str):
        raise _RefusedError("Responded without a coupon_code.")
    code = code.strip()
    if without_code:
        return ""  # from the contract: "the value will be ignored"
    if not code_key(code):
        raise _RefusedError("Responded with an empty coupon_code, and the campaign is not one without codes.")
    if len(code) > MAX_CODE_LENGTH or not code.isprintable():
        raise _RefusedError("Responded with a coupon_code that is too long or has unprintable characters.")
    return code
