"""Public and private addresses for outgoing requests: every row of IANA's registries, and the addresses around it."""

import asyncio
import ipaddress
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.outgoing import addresses
from shared.outgoing.addresses import Address, UrlRefusedError, check_url, is_public
from shared.outgoing.special_purpose import IPV4, IPV6, Block, block_of

ROWS = [pytest.param(row, id=str(row.network)) for row in (*IPV4, *IPV6)]


@pytest.mark.parametrize("row", ROWS)
def test_the_most_specific_row_decides_at_the_ends_of_its_block(row: Block) -> None:
    for address in (row.network[0], row.network[-1]):
        within = [other for other in (*IPV4, *IPV6) if address in other.network]
        assert block_of(address).network.prefixlen == max(other.network.prefixlen for other in within)
        assert address in block_of(address).network


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_every_address_has_a_block_and_a_verdict(address: Address) -> None:
    assert address in block_of(address).network
    assert isinstance(is_public(address), bool)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("192.0.0.192", False),  # the address of the audit: Python 3.11.7 calls it global
        ("192.0.0.0", False),
        ("192.0.0.8", False),
        ("192.0.0.9", True),
        ("192.0.0.10", True),
        ("192.0.0.11", False),
        ("192.0.0.170", False),
        ("192.0.0.171", False),
        ("192.0.0.255", False),
        ("192.0.1.0", True),
        ("192.0.2.1", False),
        ("192.31.196.1", True),
        ("192.52.193.1", True),
        ("192.88.99.1", False),
        ("192.88.99.2", False),
        ("192.88.98.255", True),
        ("192.175.48.1", True),
        ("0.0.0.0", False),
        ("0.255.255.255", False),
        ("1.0.0.0", True),
        ("9.255.255.255", True),
        ("100.63.255.255", True),
        ("100.64.0.0", False),
        ("100.127.255.255", False),
        ("100.128.0.0", True),
        ("172.15.255.255", True),
        ("172.32.0.0", True),
        ("198.17.255.255", True),
        ("198.18.0.1", False),
        ("198.19.255.255", False),
        ("198.20.0.0", True),
        ("198.51.100.7", False),
        ("203.0.113.7", False),
        ("223.255.255.255", True),
        ("224.0.0.0", False),
        ("239.255.255.255", False),
        ("240.0.0.0", False),
        ("255.255.255.255", False),
        ("2606:2800:220:1::1", True),
        ("2606:2800:220:1::1%eth0", False),  # a scope belongs to a link, not to the internet
        ("::", False),
        ("::1", False),
        ("::8.8.8.8", False),  # IPv4-compatible
        ("::ffff:8.8.8.8", True),  # a socket connects to 8.8.8.8
        ("::ffff:192.0.0.192", False),
        ("::ffff:0:8.8.8.8", False),  # SIIT's prefix, not mapped
        ("64:ff9b::808:808", True),
        ("64:ff9b::c000:c0", False),  # 192.0.0.192
        ("64:ff9b:1::808:808", False),
        ("64:ff9b:1:ffff:ffff:ffff:808:808", False),
        ("64:ff9b:2::808:808", False),
        ("100::1", False),
        ("100:0:0:1::1", False),
        ("1fff:ffff::1", False),  # below 2000::/3: unassigned
        ("2000::1", True),
        ("2001::1", False),
        ("2001:0:4136:e378:8000:63bf:f7f7:f7f7", False),  # Teredo of a public address: deprecated, so not public
        ("2001:1::1", True),
        ("2001:1::2", True),
        ("2001:1::3", True),
        ("2001:1::4", False),
        ("2001:2::1", False),
        ("2001:2:1::1", False),
        ("2001:3::1", True),
        ("2001:4:112::1", True),
        ("2001:5::1", False),
        ("2001:10::1", False),
        ("2001:1f:ffff::1", False),
        ("2001:20::1", True),
        ("2001:30::1", True),
        ("2001:40::1", False),
        ("2001:1ff:ffff::1", False),
        ("2001:200::1", True),
        ("2001:db8::1", False),
        ("2001:db7:ffff::1", True),
        ("2002::1", False),
        ("2002:808:808::1", False),  # 6to4 of 8.8.8.8: deprecated
        ("2620:4f:8000::1", True),
        ("3fff::1", False),
        ("3fff:fff:ffff::1", False),
        ("3fff:1000::1", True),
        ("4000::1", False),  # above 2000::/3
        ("5f00::1", False),
        ("fc00::1", False),
        ("fdff::1", False),
        ("fe00::1", False),
        ("fe80::1", False),
        ("fe80::1%1", False),
        ("febf::1", False),
        ("fec0::1", False),
        ("feff::1", False),
        ("ff02::1", False),
        ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", False),
    ],
)
def test_an_address_is_public_if_the_registry_says_globally_reachable(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


@pytest.mark.parametrize(
    "url",
    [
        "http://codes.example/",
        "https://user:password@codes.example/",
        "https://192.0.0.192/",
        "https://[::ffff:192.0.0.192]/",
        "https://[fec0::1]/",
        "https://[64:ff9b::a00:1]/",
    ],
)
def test_a_forbidden_url_is_refused_with_a_helpful_sentence(url: str) -> None:
    with pytest.raises(UrlRefusedError, match=r"COUPONRY_SOURCES_ALLOW_PRIVATE|login"):
        check_url(url, allow_private=False, setting="COUPONRY_SOURCES_ALLOW_PRIVATE")


@pytest.mark.parametrize("host", ["127.1", "0x7f.1", "2130706433", "017700000001", "0"])
async def test_other_notations_of_loopback_resolve_to_loopback(host: str) -> None:
    found = await addresses.resolve(host, 443)
    assert found
    assert not any(is_public(address) for address in found)


async def test_concurrent_calls_for_one_name_share_a_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name server that hangs occupies one thread, not one per waiting call."""
    asked: list[str] = []
    true_getaddrinfo = socket.getaddrinfo

    def slow(host: str, port: int, **options: int) -> object:
        asked.append(host)
        time.sleep(0.2)
        return true_getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    given_up, *waited = await asyncio.gather(
        asyncio.wait_for(addresses.resolve("slow.example", 443), 0.01),
        *(addresses.resolve("slow.example", 443) for _ in range(20)),
        return_exceptions=True,
    )
    assert isinstance(given_up, TimeoutError)
    assert waited == [(ipaddress.ip_address("127.0.0.1"),)] * 20
    assert asked == ["slow.example"]
