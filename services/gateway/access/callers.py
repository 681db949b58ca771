"""Who calls: a key or the subject of a bearer token, and what it may do."""

from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from services.gateway.problems import Problem

Scope = Literal["issue", "validate", "redeem", "manage", "read", "privacy"]
SCOPES: Final[tuple[Scope, ...]] = ("issue", "validate", "redeem", "manage", "read", "privacy")
"""issue: make coupons · validate: judge without changing anything · redeem: lock, burn, release, redeem, restore ·
manage: campaigns, voiding, webhooks · read: everything that is looked at · privacy: export and erase a customer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from. `name` scopes idempotency keys, rates and jobs: the key's id, or what `token_name` makes
    of issuer and subject. No two callers share one.
    """

    name: str
    scopes: frozenset[str]
    groups: frozenset[str] | None = None
    """groups of campaigns that the caller is bound to; None: every campaign"""

    def must(self, scope: Scope) -> None:
        """Raise a Problem (403) unless the caller may do what `scope` stands for."""
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise Problem(403, "forbidden", f"This needs the scope {scope!r}; the key's scopes are: {has}.")

    def sees(self, group: str | None) -> bool:
        """Whether campaigns of this group exist for the caller."""
        return self.groups is None or group in self.groups

    def must_see_all(self) -> None:
        """Raise a Problem (403) for a caller who is bound to groups, where something is of all campaigns."""
        if self.groups is not None:
            raise Problem(
                403, "forbidden", "This is of all campaigns, and the key is bound to the groups "
                f"{', '.join(sorted(self.groups))}; use a key without groups.",
            )  # fmt: skip


CALLING: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""Who the request at hand is from. The guard sets it, so that no route can forget what its caller may see."""


def groups_at_hand() -> frozenset[str] | None:
    """The groups that the caller of the request at hand is bound to; None for any campaign."""
    caller = CALLING.get()
    return None if caller is None else caller.groups


def token_name(issuer: str, subject: str) -> str:
    """Return the name of who an issuer calls `subject`: a hash of all of it, since neither has a bound."""
    asked = "".join(f"{len(part)}:{part}" for part in (issuer, subject))
    return f"oauth:{sha256(asked.encode('utf-8', 'surrogatepass')).hexdigest()}"


def unauthorized(detail: str) -> Problem:
    """Nobody known: 401, with how to say who one is."""
    return Problem(401, "unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="couponry"'})
