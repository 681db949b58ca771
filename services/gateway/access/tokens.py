"""OAuth2 bearer tokens: JWTs of one issuer, checked against its published keys."""

import asyncio
import time
from collections import OrderedDict
from hashlib import sha256
from typing import Any, Final

import jwt
from jwt import PyJWKClient

from services.gateway.access.callers import SCOPES, Caller, token_name, unauthorized
from services.gateway.access.failures import Failures
from services.gateway.problems import Problem
from services.gateway.settings import GatewaySettings

KEYS_SECONDS: Final = 300
"""How long the issuer's keys are gone by before they are read again; an unknown key's id is looked for at once."""

FETCH_SECONDS: Final = 5
LEEWAY_SECONDS: Final = 30
"""Clocks of two machines may differ by so much."""

UNKNOWN_SECONDS: Final = 30.0
"""After a key's id that the issuer doesn't know, its keys aren't asked for again for so long."""

MOST_REMEMBERED: Final = 10_000


class Tokens:
    """Checks bearer tokens as the settings say; accepts none where they name no issuer."""

    def __init__(self, settings: GatewaySettings, failures: Failures) -> None:
        self._settings = settings
        self._failures = failures
        self._accepted: OrderedDict[bytes, None] = OrderedDict()
        url = settings.oauth_jwks_url
        self._keys = None if url is None else PyJWKClient(url, lifespan=KEYS_SECONDS, timeout=FETCH_SECONDS)
        self._asked_in_vain_until = 0.0

    async def caller(self, token: str, address: str = "") -> Caller:
        """Who the token speaks for, with the scopes that its `scope` names.

        Raises a Problem: 401, 503, or 429 for an address that sent too many tokens that weren't accepted. Those that
        were accepted before aren't held up by what others at their address do; they are checked all the same.
        """
        if self._keys is None:
            raise unauthorized("Bearer tokens that are no API keys aren't accepted here: no issuer is configured.")
        digest = sha256(token.encode("utf-8", "surrogatepass")).digest()
        if digest in self._accepted:
            return await self._checked(self._keys, token)
        async with self._failures.attempt(address) as attempt:
            try:
                caller = await self._checked(self._keys, token)
            except Problem as problem:
                if problem.status == 401:
                    attempt.failed()
                raise
        self._accepted[digest] = None
        if len(self._accepted) > MOST_REMEMBERED:
            self._accepted.popitem(last=False)
        return caller

    async def _checked(self, keys: PyJWKClient, token: str) -> Caller:
        try:
            key = await self._key(keys, token)
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=list(self._settings.algorithms),
                audience=self._settings.oauth_audience,
                issuer=self._settings.oauth_issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWKClientConnectionError:
            raise Problem(
                503, "unavailable", "The issuer's keys can't be read at the moment.", headers={"Retry-After": "5"}
            ) from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise unauthorized(f"The bearer token isn't accepted: {_why(error)}.") from None
        told = claims.get("scope", "")
        scopes = told.split() if isinstance(told, str) else []
        name = token_name(str(claims["iss"]), str(claims["sub"]))
        return Caller(name, frozenset(scopes) & frozenset(SCOPES))

    async def _key(self, keys: PyJWKClient, token: str) -> Any:
        kid = jwt.get_unverified_header(token).get("kid")
        if time.monotonic() < self._asked_in_vain_until:
            known = await asyncio.to_thread(keys.get_signing_keys)
            found = [key for key in known if key.key_id == kid]
            if not found:
                raise jwt.InvalidKeyError("the issuer has no such key")
            return found[0].key
        try:
            return (await asyncio.to_thread(keys.get_signing_key_from_jwt, token)).key
        except jwt.PyJWKClientConnectionError:
            raise
        except jwt.PyJWKClientError:
            # Each such question costs the issuer a request, and who sends such tokens may send many.
            self._asked_in_vain_until = time.monotonic() + UNKNOWN_SECONDS
            raise jwt.InvalidKeyError("the issuer has no such key") from None


def _why(error: Exception) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}" if text else type(error).__name__
