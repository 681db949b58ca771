"""Which addresses a webhook may reach: public ones, so that nobody's endpoint is our own inside.

An endpoint's URL is somebody else's text. Without this check it could name our database's host, a cloud's metadata
service or a router's page, and each delivery would be a request from inside (server-side request forgery).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], Awaitable[tuple[Address, ...]]]
"""(host name, port) → every address of that name. Raises OSError when there is none."""

NAT64_NETWORKS: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
"""RFC 6052 and RFC 8215: the last 32 bits are an IPv4 address that a gateway forwards to."""


class AddressRefusedError(Exception):
    """The URL leads to an address that webhooks may not reach; the text names it."""


async def resolve(host: str, port: int) -> tuple[Address, ...]:
    """Every address of `host`, as the system's resolver gives them, in its order of preference, each once."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # An IPv6 address may carry a zone ("fe80::1%eth0"); `ip_address` keeps it and it stays link-local.
    return tuple(dict.fromkeys(ipaddress.ip_address(entry[4][0]) for entry in found))


def is_public(address: Address) -> bool:
    """Whether `address` is one host on the open internet, however it is written.

    IPv6 has several ways to write an IPv4 address (mapped, 6to4, Teredo, NAT64): the address inside is what is judged.
    """
    inner = _inner_addresses(address)
    if inner:
        return all(is_public(one) for one in inner)
    return address.is_global and not (
        address.is_multicast
        or address.is_reserved
        or address.is_unspecified
        or (isinstance(address, ipaddress.IPv6Address) and address.is_site_local)
    )


def check(host: str, addresses: Iterable[Address]) -> None:
    """Raise AddressRefusedError unless every one of `addresses` is public: one private among them is reason enough."""
    for address in addresses:
        if not is_public(address):
            raise AddressRefusedError(f"{host} leads to {address}, which is not a public address")


def _inner_addresses(address: Address) -> tuple[Address, ...]:
    if isinstance(address, ipaddress.IPv4Address):
        return ()
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address.sixtofour is not None:
        return (address.sixtofour,)
    if address.teredo is not None:
        return address.teredo
    if any(address in network for network in NAT64_NETWORKS):
        return (ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF),)
    return ()
