"""The connections of one server: limits in total and per address, and which connection is closed at a limit."""

import ipaddress
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

PACE_BYTES: Final = 64 * 1024
"""Bytes by which a body, or the reading of a response, must progress within `receive_seconds`."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """The limits of one server. `connections_per_address`: per IPv4 address or IPv6 /64; `idle_seconds`: between two
    requests; `receive_seconds`: from the first byte of a request to the end of its headers, and for each further
    `PACE_BYTES` of its body.
    """

    connections: int
    connections_per_address: int
    header_bytes: int = 32 * 1024
    header_count: int = 100
    target_bytes: int = 16 * 1024
    receive_seconds: float = 15.0
    idle_seconds: float = 75.0


class Connection(Protocol):
    """A connection that has a slot."""

    @property
    def is_idle(self) -> bool:
        """Return whether the connection only waits for its client."""

    def evict(self) -> None:
        """Close, because another connection needs the slot."""


class Connections:
    """The connections of one server, by address. Trusted proxies have no limit per address."""

    def __init__(self, limits: HttpLimits, trusted: Sequence[str] = ()) -> None:
        self.limits = limits
        self._trusted = [ipaddress.ip_network(network, strict=False) for network in trusted]
        self._by_address: dict[str, OrderedDict[Connection, None]] = {}
        self.count = 0

    def enter(self, connection: Connection, host: str) -> bool:
        """Give `connection` a slot, if necessary that of the longest idle connection. Return False if there is none."""
        address = network_of(host)
        same_address = self._by_address.get(address, OrderedDict())
        if len(same_address) >= self.limits.connections_per_address and not self._is_trusted(host):
            if not _evict(same_address):
                return False
        elif self.count >= self.limits.connections:
            # The address with the most connections loses one first, so that addresses with few can connect.
            crowded = sorted(self._by_address.values(), key=len, reverse=True)
            if not any(_evict(connections) for connections in crowded):
                return False
        self._by_address.setdefault(address, OrderedDict())[connection] = None
        self.count += 1
        return True

    def leave(self, connection: Connection, host: str) -> None:
        """Free the slot of `connection`, if it has one."""
        address = network_of(host)
        same_address = self._by_address.get(address)
        if same_address is None or connection not in same_address:
            return
        del same_address[connection]
        self.count -= 1
        if not same_address:
            del self._by_address[address]

    def touch(self, connection: Connection, host: str) -> None:
        """Record that `connection` was used just now."""
        same_address = self._by_address.get(network_of(host))
        if same_address is not None and connection in same_address:
            same_address.move_to_end(connection)

    def _is_trusted(self, host: str) -> bool:
        return bool(self._trusted) and any(_is_in(host, network) for network in self._trusted)


def _evict(connections: OrderedDict[Connection, None]) -> bool:
    for connection in connections:
        if connection.is_idle:
            connection.evict()
            return True
    return False


def network_of(host: str) -> str:
    """Return the address that limits count by: the whole IPv4 address, or the IPv6 /64, which one customer has.

    All strings that aren't addresses (a proxy may pass on anything) count as one address.
    """
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))


def _is_in(host: str, network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> bool:
    try:
        return ipaddress.ip_address(host) in network
    except ValueError:
        return False
