"""Check whether an address belongs to this machine, and read the encryption mode of a database URL."""

import ipaddress
import os
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

ENCRYPTED_SSLMODES: Final = frozenset({"require", "verify-ca", "verify-full"})
"""Modes of libpq that never fall back to an unencrypted connection."""


def first_remote(hosts: Sequence[str]) -> str | None:
    """Return the first of `hosts` that isn't this machine. A socket's folder and an empty host are this machine."""
    return next((host for host in hosts if not is_this_machine(host)), None)


def is_this_machine(host: str) -> bool:
    """Return whether connections to `host` stay on this machine, judged by its text; no name is resolved."""
    host = host.strip().removeprefix("[").removesuffix("]")
    if not host or host.startswith(("/", "@")) or host.lower() in ("localhost", "localhost."):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def hosts_and_sslmode(url: str) -> tuple[list[str], str]:
    """Return the hosts of a libpq URL and its `sslmode`, with libpq's defaults and its variable PGSSLMODE.

    A URL that can't be read has no hosts: connecting with it reports the error.
    """
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
    except ValueError:
        return [], "prefer"
    named = query.get("host") or [parts.netloc.rpartition("@")[2]]
    hosts = [_without_port(unquote(one)) for one in ",".join(named).split(",")]
    hosts += query.get("hostaddr", [])
    if hosts == [""]:
        hosts = [os.environ.get("PGHOST", "")]
    sslmode = query.get("sslmode", [os.environ.get("PGSSLMODE", "prefer")])[-1]
    return hosts, sslmode


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host if host.startswith("/") or host.count(":") > 1 else host.partition(":")[0]
