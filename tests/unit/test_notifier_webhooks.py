"""Addresses, URLs, waits and payloads of webhooks: what needs no server."""

import ipaddress
from datetime import UTC, datetime

import httpcore
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.notifier.settings import NotifierSettings
from services.notifier.webhooks.deliveries import payload
from services.notifier.webhooks.policy import WebhookPolicy
from shared.outgoing.addresses import Address, AddressRefusedError, is_public
from shared.outgoing.transport import CheckedBackend
from shared.runtime.settings import SettingsError, load_settings
from shared.webhooks.endpoints import EndpointError, check_url


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::5db8:d822", True),  # NAT64 of a public address
        ("127.0.0.1", False),
        ("127.8.8.8", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),  # shared by carriers' customers
        ("169.254.169.254", False),  # where clouds keep their metadata
        ("224.0.0.1", False),  # multicast
        ("240.0.0.1", False),  # reserved
        ("255.255.255.255", False),
        ("::", False),
        ("::1", False),
        ("::127.0.0.1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:169.254.169.254", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fc00::1", False),
        ("fd00:ec2::254", False),  # metadata again
        ("fec0::1", False),
        ("ff02::1", False),
        ("2002:7f00:1::", False),  # 6to4 of 127.0.0.1
        ("64:ff9b::7f00:1", False),  # NAT64 of 127.0.0.1
        ("64:ff9b:1::a9fe:a9fe", False),
        ("2001:0:4136:e378:8000:63bf:80ff:fffe", False),  # Teredo of 127.0.0.1
    ],
)
def test_a_webhook_reaches_public_addresses_only_however_they_are_written(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) == public


@given(st.ip_addresses(v=4))
def test_an_address_inside_an_ipv6_address_is_judged_as_it_is(inner: ipaddress.IPv4Address) -> None:
    mapped = ipaddress.IPv6Address(f"::ffff:{inner}")
    assert is_public(mapped) == is_public(inner)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("http://example.com/", "must start with https"),
        ("ftp://example.com/", "must start with https"),
        ("https://", "must start with https"),
        ("example.com", "must start with https"),
        ("https://user:password@example.com/", "neither a login"),
        ("https://example.com/#here", "fragment"),
        ("https://127.0.0.1/", "not a public address"),
        ("https://[::1]/", "not a public address"),
        ("https://[::ffff:10.0.0.1]/", "not a public address"),
        ("https://169.254.169.254/latest/meta-data", "not a public address"),
        ("https://example.com:99999999/", "is not a URL"),
        ("https://example.com/" + "a" * 2_000, "longer than"),
    ],
)
def test_a_url_that_webhooks_may_not_reach_is_refused_with_a_sentence(url: str, sentence: str) -> None:
    with pytest.raises(EndpointError, match=sentence):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url", ["https://example.com/hooks?tenant=7", "https://example.com:8443/", "https://93.184.216.34/"]
)
def test_a_public_https_url_is_taken(url: str) -> None:
    check_url(url, allow_private=False)


@pytest.mark.parametrize("url", ["http://localhost:8000/", "http://10.0.0.1/", "https://[::1]/"])
def test_a_private_url_is_taken_where_private_ones_are_allowed(url: str) -> None:
    check_url(url, allow_private=True)


@pytest.mark.parametrize("private", ["127.0.0.1", "::ffff:192.168.0.1", "169.254.169.254"])
async def test_one_private_address_among_public_ones_is_reason_enough_to_refuse_a_name(private: str) -> None:
    async def resolver(_host: str, _port: int) -> tuple[Address, ...]:
        return (ipaddress.ip_address("93.184.216.34"), ipaddress.ip_address(private))

    with pytest.raises(AddressRefusedError, match="not a public address"):
        await CheckedBackend(allow_private=False, resolver=resolver).connect_tcp("hooks.example", 443)


async def test_a_name_without_an_address_is_a_failed_connection_and_not_an_error_of_ours() -> None:
    async def resolver(_host: str, _port: int) -> tuple[Address, ...]:
        raise OSError("Name or service not known")

    with pytest.raises(httpcore.ConnectError, match="has no address"):
        await CheckedBackend(allow_private=False, resolver=resolver).connect_tcp("hooks.example", 443)


def test_waits_grow_fourfold_up_to_a_bound_and_spread_over_half_of_their_length() -> None:
    policy = WebhookPolicy(backoff_seconds=5, backoff_max_seconds=1_000)
    longest = [policy.wait_seconds(attempt, random_fraction=1) for attempt in range(1, 7)]
    assert longest == [5, 20, 80, 320, 1_000, 1_000]
    assert [policy.wait_seconds(attempt, random_fraction=0) for attempt in range(1, 7)] == [
        wait / 2 for wait in longest
    ]
    assert policy.wait_seconds(10_000, random_fraction=1) == 1_000


def test_all_attempts_together_reach_over_a_night_and_up_to_a_day() -> None:
    policy = WebhookPolicy()
    shortest = sum(policy.wait_seconds(attempt, random_fraction=0) for attempt in range(1, policy.attempts_max))
    longest = sum(policy.wait_seconds(attempt, random_fraction=1) for attempt in range(1, policy.attempts_max))
    assert shortest > 12 * 3_600
    assert longest > 24 * 3_600


def test_a_payload_carries_type_timestamp_and_the_data_to_the_letter() -> None:
    text = payload("coupon.redeemed", datetime(2026, 11, 22, 9, 30, tzinfo=UTC), b'{"order_amount":"125.00"}')
    assert text == '{"type":"coupon.redeemed","timestamp":"2026-11-22T09:30:00Z","data":{"order_amount":"125.00"}}'
    assert orjson.loads(text)["data"] == {"order_amount": "125.00"}


def test_a_lease_that_a_slow_call_could_outlive_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_DATABASE_URL", "postgresql://unknown@127.0.0.1/none")
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    monkeypatch.setenv("COUPONRY_WEBHOOKS_TIMEOUT_SECONDS", "40")
    with pytest.raises(SettingsError, match="COUPONRY_WEBHOOKS_LEASE_SECONDS must be at least twice"):
        load_settings(NotifierSettings)


def test_the_settings_and_the_policy_have_the_same_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUPONRY_DATABASE_URL", "postgresql://unknown@127.0.0.1/none")
    monkeypatch.setenv("COUPONRY_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    assert load_settings(NotifierSettings).webhook_policy == WebhookPolicy()
