"""IANA's registries of special-purpose addresses, and which blocks are globally reachable.

Sources: "IANA IPv4 Special-Purpose Address Registry" and "IANA IPv6 Special-Purpose Address Registry" (RFC 6890,
RFC 8190), with the multicast and reserved blocks of the address space registries, which those two don't list. The most
specific block that holds an address decides. "N/A" in the column "Globally Reachable" counts as no: such a block is
deprecated or a tunnel, whose far end can't be checked.

Python's own `is_global` follows these tables too, but as of each Python release: 3.11.7 calls 192.0.0.192 global.
"""

import ipaddress
from dataclasses import dataclass
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Block:
    """One row of a registry. `embeds_ipv4`: the last 32 bits are an IPv4 address, which decides."""

    network: Network
    name: str
    source: str
    globally_reachable: bool
    embeds_ipv4: bool = False


def _row(network: str, name: str, source: str, reachable: str) -> Block:
    return Block(ipaddress.ip_network(network), name, source, reachable != "no", reachable == "as its IPv4 address")


IPV4: Final = (
    _row("0.0.0.0/0", "Unicast", "IPv4 Address Space Registry", "yes"),
    _row("0.0.0.0/8", "This network", "RFC 791", "no"),
    _row("0.0.0.0/32", "This host on this network", "RFC 1122", "no"),
    _row("10.0.0.0/8", "Private-Use", "RFC 1918", "no"),
    _row("100.64.0.0/10", "Shared Address Space", "RFC 6598", "no"),
    _row("127.0.0.0/8", "Loopback", "RFC 1122", "no"),
    _row("169.254.0.0/16", "Link Local", "RFC 3927", "no"),
    _row("172.16.0.0/12", "Private-Use", "RFC 1918", "no"),
    _row("192.0.0.0/24", "IETF Protocol Assignments", "RFC 6890", "no"),
    _row("192.0.0.0/29", "IPv4 Service Continuity Prefix", "RFC 7335", "no"),
    _row("192.0.0.8/32", "IPv4 dummy address", "RFC 7600", "no"),
    _row("192.0.0.9/32", "Port Control Protocol Anycast", "RFC 7723", "yes"),
    _row("192.0.0.10/32", "Traversal Using Relays around NAT Anycast", "RFC 8155", "yes"),
    _row("192.0.0.170/31", "NAT64/DNS64 Discovery", "RFC 8880, RFC 7050", "no"),
    _row("192.0.2.0/24", "Documentation (TEST-NET-1)", "RFC 5737", "no"),
    _row("192.31.196.0/24", "AS112-v4", "RFC 7535", "yes"),
    _row("192.52.193.0/24", "AMT", "RFC 7450", "yes"),
    _row("192.88.99.0/24", "Deprecated (6to4 Relay Anycast)", "RFC 7526", "no"),
    _row("192.88.99.2/32", "6a44-relay anycast address", "RFC 6751", "no"),
    _row("192.168.0.0/16", "Private-Use", "RFC 1918", "no"),
    _row("192.175.48.0/24", "Direct Delegation AS112 Service", "RFC 7534", "yes"),
    _row("198.18.0.0/15", "Benchmarking", "RFC 2544", "no"),
    _row("198.51.100.0/24", "Documentation (TEST-NET-2)", "RFC 5737", "no"),
    _row("203.0.113.0/24", "Documentation (TEST-NET-3)", "RFC 5737", "no"),
    _row("224.0.0.0/4", "Multicast", "RFC 5771", "no"),
    _row("240.0.0.0/4", "Reserved", "RFC 1112", "no"),
    _row("255.255.255.255/32", "Limited Broadcast", "RFC 8190, RFC 919", "no"),
)

IPV6: Final = (
    _row("::/0", "Reserved by IETF, unless listed below", "RFC 4291", "no"),
    _row("2000::/3", "Global Unicast", "RFC 4291", "yes"),
    _row("::/96", "IPv4-compatible (deprecated)", "RFC 4291", "no"),
    _row("::/128", "Unspecified Address", "RFC 4291", "no"),
    _row("::1/128", "Loopback Address", "RFC 4291", "no"),
    # The registry says no, because such an address never appears on the wire. A socket that is given one connects over
    # IPv4 to the inner address, so that one decides.
    _row("::ffff:0:0/96", "IPv4-mapped Address", "RFC 4291", "as its IPv4 address"),
    _row("64:ff9b::/96", "IPv4-IPv6 Translation", "RFC 6052", "as its IPv4 address"),
    _row("64:ff9b:1::/48", "IPv4-IPv6 Translation, local use", "RFC 8215", "no"),
    _row("100::/64", "Discard-Only Address Block", "RFC 6666", "no"),
    _row("100:0:0:1::/64", "Dummy IPv6 Prefix", "RFC 9780", "no"),
    _row("2001::/23", "IETF Protocol Assignments", "RFC 2928", "no"),
    _row("2001::/32", "TEREDO", "RFC 4380, RFC 8190", "no"),
    _row("2001:1::1/128", "Port Control Protocol Anycast", "RFC 7723", "yes"),
    _row("2001:1::2/128", "Traversal Using Relays around NAT Anycast", "RFC 8155", "yes"),
    _row("2001:1::3/128", "DNS-SD Service Registration Protocol Anycast", "RFC 9665", "yes"),
    _row("2001:2::/48", "Benchmarking", "RFC 5180, RFC Errata 1752", "no"),
    _row("2001:3::/32", "AMT", "RFC 7450", "yes"),
    _row("2001:4:112::/48", "AS112-v6", "RFC 7535", "yes"),
    _row("2001:10::/28", "Deprecated (previously ORCHID)", "RFC 4843", "no"),
    _row("2001:20::/28", "ORCHIDv2", "RFC 7343", "yes"),
    _row("2001:30::/28", "Drone Remote ID Protocol Entity Tags", "RFC 9374", "yes"),
    _row("2001:db8::/32", "Documentation", "RFC 3849", "no"),
    _row("2002::/16", "6to4", "RFC 3056", "no"),
    _row("2620:4f:8000::/48", "Direct Delegation AS112 Service", "RFC 7534", "yes"),
    _row("3fff::/20", "Documentation", "RFC 9637", "no"),
    _row("5f00::/16", "Segment Routing (SRv6) SIDs", "RFC 9602", "no"),
    _row("fc00::/7", "Unique-Local", "RFC 4193, RFC 8190", "no"),
    _row("fe80::/10", "Link-Local Unicast", "RFC 4291", "no"),
    _row("fec0::/10", "Site-Local Unicast (deprecated)", "RFC 3879", "no"),
    _row("ff00::/8", "Multicast", "RFC 4291", "no"),
)


def block_of(address: Address) -> Block:
    """Return the most specific block that holds `address`; a scope id (`fe80::1%eth0`) is ignored."""
    number = int(address)
    table = IPV4 if address.version == 4 else IPV6
    return max(
        (row for row in table if number >> (address.max_prefixlen - row.network.prefixlen) == _prefix(row.network)),
        key=lambda row: row.network.prefixlen,
    )


def _prefix(network: Network) -> int:
    return int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
