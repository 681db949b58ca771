"""Who calls: a key or the subject of a bearer token, and what it may do."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from services.gateway.problems import Problem

Scope = Literal["issue", "validate", "redeem", "manage", "read"]
SCOPES: Final[tuple[Scope, ...]] = ("issue", "validate", "redeem", "manage", "read")
"""issue: make coupons · validate: judge without changing anything · redeem: lock, burn, release, redeem, restore ·
manage: campaigns, voiding, webhooks · read: everything that is looked at."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. `name` scopes idempotency keys, rates and jobs: the key's id, or what `token_name` makes
    of issuer and subject. No two callers share one.
    """

    name: str
    scopes: frozenset[str]

    def must(self, scope: Scope) -> None:
        """Raise a Problem (403) unless the caller may do what `scope` stands for."""
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise Problem(403, "forbidden", f"This needs the scope {scope!r}; the key's scopes are: {has}.")


def token_name(issuer: str, subject: str) -> str:
    """Return the name of who an issuer calls `subject`: a hash of all of it, since neither has a bound."""
    asked = "".join(f"{len(part)}:{part}" for part in (issuer, subject))
    return f"oauth:{sha256(asked.encode('utf-8', 'surrogatepass')).hexdigest()}"


def unauthorized(detail: str) -> Problem:
    """Nobody known: 401, with how to say who one is."""
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="couponry"'})
