"""Callers: an API key or the subject of a bearer token, with its scopes."""

from contextvars import ContextVar
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Literal

from services.gateway.problems import Problem

Scope = Literal["issue", "validate", "redeem", "manage", "read", "privacy"]
SCOPES: Final[tuple[Scope, ...]] = ("issue", "validate", "redeem", "manage", "read", "privacy")
"""issue: create coupons · validate: validate and explain · redeem: lock, burn, release, redeem, restore ·
manage: campaigns, voiding, webhooks · read: all reads · privacy: export and erase a customer."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request. `name` is unique, and scopes idempotency keys, rates and jobs: the key's id, or the
    `token_name` of issuer and subject.
    """

    name: str
    scopes: frozenset[str]
    groups: frozenset[str] | None = None
    """groups of campaigns that the caller is bound to; None: all campaigns"""

    def require_scope(self, scope: Scope) -> None:
        """Check that the caller has `scope`. Raises a Problem (403)."""
        if scope not in self.scopes:
            has = ", ".join(sorted(self.scopes)) or "none"
            raise Problem(403, "forbidden", f"This request needs the scope {scope!r}; the key's scopes are: {has}.")

    def sees(self, group: str | None) -> bool:
        """Return whether the caller may see campaigns of this group."""
        return self.groups is None or group in self.groups

    def require_all_groups(self) -> None:
        """Check that the caller is not bound to groups. Raises a Problem (403)."""
        if self.groups is not None:
            raise Problem(
                403, "forbidden", "This request covers all campaigns, but the key is bound to the groups "
                f"{', '.join(sorted(self.groups))}; use a key without groups.",
            )  # fmt: skip


CURRENT_CALLER: ContextVar[Caller | None] = ContextVar("caller", default=None)
"""The caller of the current request. The guard sets it, so that no route can forget to check groups."""


def current_groups() -> frozenset[str] | None:
    """Return the groups that the caller of the current request is bound to; None for all campaigns."""
    caller = CURRENT_CALLER.get()
    return None if caller is None else caller.groups


def token_name(issuer: str, subject: str) -> str:
    """Return the caller's name for an issuer's subject: a hash, because neither has a maximum length."""
    hashed = "".join(f"{len(part)}:{part}" for part in (issuer, subject))
    return f"oauth:{sha256(hashed.encode('utf-8', 'surrogatepass')).hexdigest()}"


def unauthorized(detail: str) -> Problem:
    """Return the problem for failed authentication (401); `detail` is its cause."""
    return Problem(
        401, "unauthorized", f"Authentication failed: {detail}", headers={"WWW-Authenticate": 'Bearer realm="couponry"'}
    )
