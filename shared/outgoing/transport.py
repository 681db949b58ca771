"""An HTTP client that connects to checked addresses only.

If a name is checked and then passed to the HTTP library, it is resolved twice, and the name's owner can answer
differently the second time (DNS rebinding). Therefore the check is part of connecting: resolve once, check every
address, connect to one of them. TLS still verifies the certificate against the name.
"""

from collections.abc import AsyncIterator, Iterable
from typing import Final

import httpcore
import httpx

from shared.outgoing.addresses import Resolve, check, resolve

ADDRESSES_TRIED: Final = 3
"""The most addresses of one name that are tried: an attempt has one deadline, and the call is retried later."""

KEEPALIVE_SECONDS: Final = 15.0
"""Long enough for a burst to one endpoint, short enough to follow a change of DNS."""


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Connects by TCP to checked addresses only. With `allow_private` nothing is checked, but names resolve once."""

    def __init__(self, *, allow_private: bool, resolver: Resolve = resolve) -> None:
        self._allow_private = allow_private
        self._resolve = resolver
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface's own
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to one of the host's addresses.

        Raises AddressRefusedError, or httpcore.ConnectError if none of the addresses accepts the connection.
        """
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"{host} has no address: {error}") from error
        if not addresses:
            raise httpcore.ConnectError(f"{host} has no address")
        if not self._allow_private:
            check(host, addresses)
        failure: Exception | None = None
        for address in addresses[:ADDRESSES_TRIED]:
            try:
                return await self._inner.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise httpcore.ConnectError(f"{host}: {failure}") from failure

    async def sleep(self, seconds: float) -> None:
        """Sleep; required by the interface."""
        await self._inner.sleep(seconds)


class CheckedTransport(httpx.AsyncBaseTransport):
    """httpx's transport over a pool whose connections use `backend`.

    httpx's own class doesn't accept a backend, so its few lines of translation to httpcore are repeated here.
    """

    def __init__(self, backend: httpcore.AsyncNetworkBackend, *, max_connections: int) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(trust_env=False),
            max_connections=max_connections,
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEPALIVE_SECONDS,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises httpx.TransportError or AddressRefusedError."""
        url = request.url
        core_request = httpcore.Request(
            method=request.method,
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            response = await self._pool.handle_async_request(core_request)
        except CORE_ERRORS as error:
            raise _translated(error) from error
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _ResponseStream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for part in self._response.aiter_stream():
                yield part
        except CORE_ERRORS as error:
            raise _translated(error) from error

    async def aclose(self) -> None:
        await self._response.aclose()


CORE_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
)


def _translated(error: Exception) -> httpx.TransportError:
    """Return httpx's error for one of httpcore. Their classes have the same names."""
    known = getattr(httpx, type(error).__name__, httpx.TransportError)
    text = str(error) or type(error).__name__
    return known(text) if issubclass(known, httpx.TransportError) else httpx.TransportError(text)


def open_client(
    *,
    allow_private: bool,
    connections: int,
    timeout_seconds: float,
    user_agent: str,
    resolver: Resolve = resolve,
) -> httpx.AsyncClient:
    """Return a client that connects to checked addresses only, without redirects and without the environment's proxies.

    At most `connections` are open at a time. `timeout_seconds` limits each part of a call (connecting, one read); the
    caller limits the whole call.
    """
    backend = CheckedBackend(allow_private=allow_private, resolver=resolver)
    return httpx.AsyncClient(
        transport=CheckedTransport(backend, max_connections=connections),
        timeout=timeout_seconds,
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": user_agent},
    )
