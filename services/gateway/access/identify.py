"""Who a request is from, by what its headers say: a key (bearer, Basic, X-API-Key) or an issuer's token."""

import base64
import binascii
from typing import TYPE_CHECKING

from fastapi import Request

from services.gateway.access.callers import Caller, unauthorized
from services.gateway.access.keys import PATTERN
from shared.runtime.http_connections import network_of

if TYPE_CHECKING:
    from services.gateway.gateway import Gateway

HOW = "Send an API key: Authorization: Bearer cpn_… (make one with `couponry keys create`)."


async def identify(request: Request, gateway: "Gateway") -> Caller:
    """The caller that the headers name. Raises a Problem (401)."""
    header = request.headers.get("authorization")
    if header is None:
        key = request.headers.get("x-api-key")
        if key is None:
            raise unauthorized(HOW)
        return await by_key(request, gateway, key)
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        return await by_key(request, gateway, basic_key(value))
    if scheme.lower() != "bearer" or not value:
        raise unauthorized(HOW)
    if PATTERN.fullmatch(value):
        return await by_key(request, gateway, value)
    return await gateway.tokens.caller(value, address_of(request))


async def by_key(request: Request, gateway: "Gateway", key: str) -> Caller:
    """Whose key it is. Raises a Problem: 401, or 429 for an address that sent too many unknown ones."""
    caller = await gateway.keys.caller(key, address_of(request))
    if caller is None:
        raise unauthorized("The API key is unknown, or was revoked. " + HOW)
    return caller


def address_of(request: Request) -> str:
    """Return where the request comes from, as bounds count it; a proxy's word is taken where it is trusted."""
    return network_of(request.client.host if request.client else "")


def basic_key(encoded: str) -> str:
    """The key in Basic credentials: the password, or the user name where that is empty. Raises a Problem (401)."""
    try:
        user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        raise unauthorized("The Basic credentials can't be read: they are no base64 of user:password.") from None
    return password or user
