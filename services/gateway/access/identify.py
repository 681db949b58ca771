"""Authentication by headers: an API key (bearer, Basic, X-API-Key) or an issuer's token."""

import base64
import binascii
from typing import TYPE_CHECKING

from fastapi import Request

from services.gateway.access.callers import Caller, unauthorized
from services.gateway.access.keys import PATTERN
from shared.runtime.http_connections import network_of

if TYPE_CHECKING:
    from services.gateway.gateway import Gateway

HOW = "Send Authorization: Bearer cpn_… (`couponry keys create` creates a key)."
MISSING = f"no API key was sent. {HOW}"


async def identify(request: Request, gateway: "Gateway") -> Caller:
    """Return the caller that the headers name. Raises a Problem (401)."""
    header = request.headers.get("authorization")
    if header is None:
        key = request.headers.get("x-api-key")
        if key is None:
            raise unauthorized(MISSING)
        return await by_key(request, gateway, key)
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        return await by_key(request, gateway, basic_key(value))
    if scheme.lower() != "bearer" or not value:
        raise unauthorized(MISSING)
    if PATTERN.fullmatch(value):
        return await by_key(request, gateway, value)
    return await gateway.tokens.caller(value, address_of(request))


async def by_key(request: Request, gateway: "Gateway", key: str) -> Caller:
    """Return the caller of an API key. Raises a Problem: 401, or 429 if the address sent too many unknown keys."""
    caller = await gateway.keys.caller(key, address_of(request))
    if caller is None:
        raise unauthorized(f"unknown or revoked API key. {HOW}")
    return caller


def address_of(request: Request) -> str:
    """Return the network of the client, to which limits apply. Behind a trusted proxy, it is the forwarded one."""
    return network_of(request.client.host if request.client else "")


def basic_key(encoded: str) -> str:
    """Return the key in Basic credentials: the password, or, if empty, the user name. Raises a Problem (401)."""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise unauthorized("the Basic credentials can't be read; send user:password in base64.") from None
    return password or user
