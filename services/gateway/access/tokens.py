"""OAuth2 bearer tokens: JWTs of one issuer, verified with its published keys."""

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
"""Time for which the issuer's keys are cached. An unknown key id is looked up at once."""

FETCH_SECONDS: Final = 5
LEEWAY_SECONDS: Final = 30
"""The allowed difference between the clocks of issuer and gateway."""

UNKNOWN_SECONDS: Final = 30.0
"""Time after an unknown key id for which the issuer's keys are not fetched again."""

MAX_REMEMBERED: Final = 10_000


class Tokens:
    """Verifies bearer tokens of the configured issuer; without an issuer, all tokens are refused."""

    def __init__(self, settings: GatewaySettings, failures: Failures) -> None:
        self._settings = settings
        self._failures = failures
        self._accepted: OrderedDict[bytes, None] = OrderedDict()
        url = settings.oauth_jwks_url
        self._keys = None if url is None else PyJWKClient(url, lifespan=KEYS_SECONDS, timeout=FETCH_SECONDS)
        self._no_fetch_until = 0.0

    async def caller(self, token: str, address: str = "") -> Caller:
        """Return the token's subject, with the scopes in its `scope` claim.

        Raises a Problem: 401, 503, or 429 if the address sent too many refused tokens. Tokens that were accepted before
        are verified again, but the limit of the address doesn't apply to them, so other clients can't block them.
        """
        if self._keys is None:
            raise unauthorized("the bearer token is not an API key, and no token issuer is configured.")
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
        if len(self._accepted) > MAX_REMEMBERED:
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
                503,
                "unavailable",
                "The keys of the token issuer can't be fetched at the moment.",
                headers={"Retry-After": "5"},
            ) from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise unauthorized(f"the bearer token was refused: {_reason(error)}.") from None
        claim = claims.get("scope", "")
        scopes = claim.split() if isinstance(claim, str) else []
        name = token_name(str(claims["iss"]), str(claims["sub"]))
        return Caller(name, frozenset(scopes) & frozenset(SCOPES))

    async def _key(self, keys: PyJWKClient, token: str) -> Any:
        kid = jwt.get_unverified_header(token).get("kid")
        if time.monotonic() < self._no_fetch_until:
            known = await asyncio.to_thread(keys.get_signing_keys)
            found = [key for key in known if key.key_id == kid]
            if not found:
                raise jwt.InvalidKeyError("the issuer has no key with this id")
            return found[0].key
        try:
            return (await asyncio.to_thread(keys.get_signing_key_from_jwt, token)).key
        except jwt.PyJWKClientConnectionError:
            raise
        except jwt.PyJWKClientError:
            # Each unknown id costs the issuer a request, and a client may send many of them.
            self._no_fetch_until = time.monotonic() + UNKNOWN_SECONDS
            raise jwt.InvalidKeyError("the issuer has no key with this id") from None


def _reason(error: Exception) -> str:
    text = str(error).rstrip(".")
    return f"{text[:1].lower()}{text[1:]}" if text else type(error).__name__
