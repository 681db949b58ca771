"""Commands: the requests that the engine accepts. Every channel creates one of these.

A command carries the whole request, and nothing that the ledger knows. `command_id` is the idempotency key: it comes
from the caller and is unique to the request (`<ce_source> <ce_id>` for an event); a repeated id gets the same verdict.
`at` is the time at which the request is judged; None, or a time after the database's now, is now.
`groups` are the campaign groups that the caller is limited to; None is all. See `shared.domain.tenancy`.
`order_id` is the order's key (`shared.domain.model.ids.order_key`), not the id that a shop gave it.

Every command has `command_id`, `customer`, `at`, `channel` and `groups`. What a request can't state is a constant of
its class instead of a field. What a command names is in the properties of `Names`. To add a command: docs/extending.md.
"""

from dataclasses import field
from datetime import datetime
from typing import ClassVar, Literal

from shared.domain.model.customer import Customer
from shared.domain.model.ids import OrderKey, reward_occasion
from shared.domain.model.names import Names
from shared.domain.model.order import Order
from shared.domain.model.order_commands import (
    CancelOrder,
    FailPayment,
    PayOrder,
    RedeemCoupons,
    ReturnOrder,
    UnreadField,
)
from shared.domain.model.value import value


@value
class Cause:
    """The event behind a command: CloudEvents type, source and id."""

    type: str
    source: str
    id: str


@value
class IssueCoupons(Names):
    """Issue `customer` one coupon of each campaign in `campaign_ids`, or the number in `several`.

    `natural_key` identifies the occasion across event ids (a reward's id): each campaign issues once for it.
    `external_codes` are codes fetched from an external source for this command: (campaign id, code).
    `referred` is the customer that `customer` referred, if the coupons are for a referral.
    """

    channel: ClassVar[str] = "issuer"

    command_id: str
    cause: Cause
    customer: Customer
    campaign_ids: tuple[str, ...]
    at: datetime | None = None
    natural_key: str | None = None
    external_codes: tuple[tuple[str, str], ...] = ()
    several: tuple[tuple[str, int], ...] = ()
    """(campaign id, coupons) of campaigns that issue more than one"""
    referred: Customer | None = None
    groups: frozenset[str] | None = None

    @property
    def coupons(self) -> int:
        """Return the number of requested coupons of all campaigns."""
        return len(self.campaign_ids) + sum(number - 1 for _, number in self.several)

    def coupons_of(self, campaign_id: str) -> int:
        """Return the number of requested coupons of this campaign."""
        return next((number for one, number in self.several if one == campaign_id), 1)


@value
class LockCoupons(Names):
    """Hold one use of each of `codes` for `lock_seconds`, for a customer, an order, or both.

    `order` is what the discount is computed for, None if there is none yet; `order_id` binds the lock to one order.
    All or nothing. A repeated reference replaces what the lock holds.
    """

    at: ClassVar[None] = None
    unread: ClassVar[tuple[UnreadField, ...]] = ()

    command_id: str
    lock_reference: str
    codes: tuple[str, ...]
    lock_seconds: int
    customer: Customer | None = None
    order: Order | None = None
    order_id: OrderKey | None = None
    channel: str = "cli"
    validation_code: str | None = field(default=None, repr=False)
    groups: frozenset[str] | None = None

    @property
    def named_codes(self) -> tuple[str, ...]:
        return self.codes

    @property
    def named_lock(self) -> str:
        return self.lock_reference

    @property
    def named_order(self) -> OrderKey | None:
        return self.order_id


@value
class ReleaseLock(Names):
    """Release a lock."""

    customer: ClassVar[None] = None
    at: ClassVar[None] = None

    command_id: str
    lock_reference: str
    channel: str = "cli"
    groups: frozenset[str] | None = None

    @property
    def named_lock(self) -> str:
        return self.lock_reference


@value
class ExpireLock(Names):
    """Release what an expired lock holds. Created by the engine only, never by a caller."""

    customer: ClassVar[None] = None
    at: ClassVar[None] = None
    groups: ClassVar[None] = None

    command_id: str
    lock_reference: str
    channel: str = "ledger"

    @property
    def named_lock(self) -> str:
        return self.lock_reference


@value
class RecordCustomer(Names):
    """Record facts about a customer (their segments). Issues nothing."""

    groups: ClassVar[None] = None

    command_id: str
    customer: Customer
    at: datetime | None = None
    channel: str = "issuer"


@value
class VoidCoupon(Names):
    """Take a coupon out of use permanently. Its redemptions stay."""

    customer: ClassVar[None] = None
    at: ClassVar[None] = None

    command_id: str
    code: str
    channel: str = "cli"
    groups: frozenset[str] | None = None

    @property
    def named_codes(self) -> tuple[str]:
        return (self.code,)


@value
class ChangeCoupon(Names):
    """Change one coupon: its `status`, its own end, or both at once.

    `status`: "active" undoes a void; None keeps it. `moves_end`: its own end becomes `ends_at`; None is no own end.
    `reason` is for people: it is in the events and in the coupon's history.
    """

    customer: ClassVar[None] = None
    at: ClassVar[None] = None

    command_id: str
    code: str
    status: Literal["active", "voided"] | None = None
    moves_end: bool = False
    ends_at: datetime | None = None
    reason: str | None = None
    channel: str = "cli"
    groups: frozenset[str] | None = None

    @property
    def named_codes(self) -> tuple[str]:
        return (self.code,)


@value
class RevokeReward(Names):
    """A reward was revoked: void the unused coupons that it issued. It issues none from now on."""

    channel: ClassVar[str] = "issuer"
    customer: ClassVar[None] = None
    groups: ClassVar[None] = None

    command_id: str
    reward_id: str
    at: datetime | None = None
    reason: str | None = None

    @property
    def occasion(self) -> str:
        """Return the occasion for which the reward issues its coupons."""
        return reward_occasion(self.reward_id)


MAX_CREATED = 1_000
"""Maximum number of coupons in one CreateCoupons. They are one verdict with a megabyte of rows and events, written in
0.15 seconds on a laptop; other batches on a limited campaign wait for it.
"""


@value
class CreateCoupons(Names):
    """Create coupons without a holder: `count` by the campaign's pattern, or one for each of `codes`.

    At most MAX_CREATED. All or nothing, except that codes which exist already are left out.
    """

    customer: ClassVar[None] = None

    command_id: str
    campaign_id: str
    count: int = 0
    codes: tuple[str, ...] = ()
    at: datetime | None = None
    channel: str = "cli"
    groups: frozenset[str] | None = None

    @property
    def coupons(self) -> int:
        """Return the number of requested coupons."""
        return len(self.codes) or self.count


Command = (
    RedeemCoupons
    | IssueCoupons
    | PayOrder
    | FailPayment
    | CancelOrder
    | ReturnOrder
    | LockCoupons
    | ReleaseLock
    | ExpireLock
    | VoidCoupon
    | ChangeCoupon
    | RevokeReward
    | RecordCustomer
    | CreateCoupons
)
"""All commands. A `match` on them ends with `assert_never`, so that the type checker lists what a new one misses."""
