"""Limit outgoing requests to public addresses, so that a URL can't reach into our own network.

Users write the URLs of webhook endpoints and external code sources. Without this check such a URL could name our
database's host, a cloud's metadata service or a router's page (server-side request forgery).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import httpx

from shared.outgoing.special_purpose import Address, block_of

__all__ = ["Address", "AddressRefusedError", "Resolve", "UrlRefusedError", "check", "check_url", "is_public", "resolve"]

Resolve = Callable[[str, int], Awaitable[tuple[Address, ...]]]
"""(host name, port) → every address of that name. Raises OSError if there is none."""

MAX_URL_LENGTH: Final = 2_000

RESOLVER_THREADS: Final = 64
"""A look-up can't be cancelled and occupies its thread until the resolver times out, so slow name servers need spare
threads. All calls that wait for one name share one thread."""


class AddressRefusedError(Exception):
    """The URL's host has an address that outgoing requests may not reach; the text names it."""


class UrlRefusedError(ValueError):
    """No request may be sent to this URL; the text says why and what to do."""


_executor: Final = ThreadPoolExecutor(RESOLVER_THREADS, thread_name_prefix="resolver")
_lookups: Final[dict[tuple[asyncio.AbstractEventLoop, str, int], asyncio.Task[tuple[Address, ...]]]] = {}


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """Return every address of `host`, in the system resolver's order of preference, each once. Raises OSError.

    Calls for the same name at the same time share one look-up.
    """
    loop = asyncio.get_running_loop()
    key = (loop, host, port)
    lookup = _lookups.get(key)
    if lookup is None:
        lookup = _lookups[key] = loop.create_task(_look_up(host, port))
        lookup.add_done_callback(lambda done: _forget(key, done))
    return await asyncio.shield(lookup)


def _forget(key: tuple[asyncio.AbstractEventLoop, str, int], lookup: asyncio.Task[tuple[Address, ...]]) -> None:
    _lookups.pop(key, None)
    if not lookup.cancelled():
        lookup.exception()  # marks it as seen: every waiting call may have timed out


async def _look_up(host: str, port: int) -> tuple[Address, ...]:
    def query() -> tuple[Address, ...]:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        # An IPv6 address may carry a zone ("fe80::1%eth0"); `ip_address` keeps it.
        return tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))

    return await asyncio.get_running_loop().run_in_executor(_executor, query)


def is_public(address: Address) -> bool:
    """Return whether `address` is "Globally Reachable" by IANA's registries.

    For an IPv4 address inside an IPv6 one (mapped, NAT64) the IPv4 address decides. An address with a scope id is never
    public.
    """
    if isinstance(address, ipaddress.IPv6Address) and address.scope_id is not None:
        return False
    block = block_of(address)
    if block.embeds_ipv4:
        return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
    return block.globally_reachable


def check(host: str, addresses: Iterable[Address]) -> None:
    """Raise AddressRefusedError unless all of `addresses` are public."""
    for address in addresses:
        if not is_public(address):
            raise AddressRefusedError(
                f"{host} resolves to {address}, which is not a public address ({block_of(address).name})"
            )


def check_url(url: str, *, allow_private: bool, setting: str) -> None:
    """Raise UrlRefusedError if the text of `url` shows that no request may be sent to it.

    The addresses of its host are checked at each connection, because they can change at any time. `setting` is the
    variable that allows private addresses and http://; the messages name it.
    """
    if len(url) > MAX_URL_LENGTH:
        raise UrlRefusedError(f"The URL is longer than {MAX_URL_LENGTH} characters.")
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise UrlRefusedError(f"{url!r} is not a URL: {error}.") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise UrlRefusedError(f"{url!r} must start with https:// and a host name.")
    if parsed.port is not None and not 0 < parsed.port < 65_536:
        raise UrlRefusedError(f"{url!r} is not a URL: {parsed.port} is not a port.")
    if parsed.userinfo or parsed.fragment:
        raise UrlRefusedError(
            "The URL must contain neither a login nor a fragment: receivers of webhooks check the signature, "
            "sources are authenticated by headers."
        )
    if allow_private:
        return
    if parsed.scheme != "https":
        raise UrlRefusedError(f"{url!r} must start with https://, or {setting} must be true.")
    try:
        address = ipaddress.ip_address(parsed.host)
    except ValueError:
        return
    if not is_public(address):
        raise UrlRefusedError(
            f"{address} is not a public address ({block_of(address).name}); {setting}=true allows it."
        )
