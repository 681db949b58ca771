"""What can be asked of the engine. Every way in ends as one of these; verbs in the imperative.

A command is complete: it carries all that was said, and nothing that the ledger knows. `command_id` comes from outside
and is unique to the request (`<ce_source> <ce_id>` for an event); the same id again gets the recorded verdict.
`at` is the time by which the request asks to be judged; a time after the database's now is judged as now, None is now.
`groups` are the groups of campaigns that the caller is bound to, None where they see all: see `shared.domain.tenancy`.
"""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any

from shared.domain.model.customer import Customer
from shared.domain.model.order import Order
from shared.domain.model.value import value


@value
class Cause:
    """The event behind a command: CloudEvents type, source and id."""

    type: str
    source: str
    id: str


@value
class IssueCoupons:
    """Give `customer` one coupon of each campaign in `campaign_ids`, or the number that `several` says.

    `natural_key` names the occasion across event ids (a reward's id): the same occasion issues once a campaign.
    `external_codes` are codes that an external source gave for this command beforehand: (campaign id, code).
    `referred` is who `customer` brought in, where that is what the coupons are for: nobody refers themselves.
    """

    command_id: str
    cause: Cause
    customer: Customer
    campaign_ids: tuple[str, ...]
    at: datetime | None = None
    natural_key: str | None = None
    external_codes: tuple[tuple[str, str], ...] = ()
    several: tuple[tuple[str, int], ...] = ()
    """(campaign id, coupons) of campaigns that give more than one"""
    referred: Customer | None = None
    groups: frozenset[str] | None = None

    @property
    def coupons(self) -> int:
        """How many coupons it asks for, of all campaigns together."""
        return len(self.campaign_ids) + sum(number - 1 for _, number in self.several)

    def coupons_of(self, campaign_id: str) -> int:
        """How many coupons of this campaign it asks for."""
        return next((number for one, number in self.several if one == campaign_id), 1)


@value
class RedeemCoupons:
    """Use coupons on an order: those of `codes`, and those that `lock_reference` holds.

    `atomic`: all or nothing. `hold`: only hold the uses until the order is paid (`hold_seconds` at most). `priced`
    False: nobody said what the order costs, so what depends on that isn't judged, and a lock's coupons take off what it
    held.
    """

    command_id: str
    order: Order
    codes: tuple[str, ...] = ()
    customer: Customer | None = None
    lock_reference: str | None = None
    atomic: bool = False
    hold: bool = False
    hold_seconds: int = 0
    at: datetime | None = None
    channel: str = "orders"
    validation_code: str | None = field(default=None, repr=False)
    priced: bool = True
    named: int = 0
    """how many coupons the request named of which this is a part; 0: this is all of it"""
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    """what the request says of the redemption itself, handed on"""
    groups: frozenset[str] | None = None


@value
class PayOrder:
    """The order was paid: burn what it holds."""

    command_id: str
    order_id: str
    at: datetime | None = None
    channel: str = "orders"


@value
class CancelOrder:
    """The order was cancelled: restore what it redeemed, release what it holds."""

    command_id: str
    order_id: str
    at: datetime | None = None
    channel: str = "orders"
    groups: frozenset[str] | None = None


@value
class ReturnOrder:
    """The order came back, `whole` or in part: `lines` (line id, units), or goods of `amount`, a decimal text in the
    order's currency (not looked at where lines are given). A return in part gives back the discount's share of what
    came back; when all of the order has come back in parts, that is a whole return.
    """

    command_id: str
    order_id: str
    whole: bool = True
    at: datetime | None = None
    channel: str = "orders"
    lines: tuple[tuple[str, int], ...] = ()
    amount: str | None = None
    groups: frozenset[str] | None = None


@value
class LockCoupons:
    """Hold one use of each of `codes` for `lock_seconds`, for a customer, an order, or both.

    `order` is what the discount is reckoned on, None where there is none yet; `order_id` binds the lock to one order.
    All or nothing. The same reference again replaces what it holds.
    """

    command_id: str
    lock_reference: str
    codes: tuple[str, ...]
    lock_seconds: int
    customer: Customer | None = None
    order: Order | None = None
    order_id: str | None = None
    channel: str = "cli"
    validation_code: str | None = field(default=None, repr=False)
    groups: frozenset[str] | None = None


@value
class ReleaseLock:
    """Let a lock go."""

    command_id: str
    lock_reference: str
    channel: str = "cli"
    groups: frozenset[str] | None = None


@value
class ExpireLock:
    """A lock's time is over: give back what it holds. Made by the engine itself, never by a caller."""

    command_id: str
    lock_reference: str
    channel: str = "ledger"


@value
class RecordCustomer:
    """Somebody said something of a customer (their segments) that issues nothing."""

    command_id: str
    customer: Customer
    at: datetime | None = None
    channel: str = "issuer"


@value
class VoidCoupon:
    """Take a coupon out of use, for good. What was redeemed stays redeemed."""

    command_id: str
    code: str
    channel: str = "cli"
    groups: frozenset[str] | None = None


MAX_CREATED = 1_000
"""Most coupons that one CreateCoupons makes: they are one verdict, and about a megabyte of rows and events, written in
0.15 seconds on a laptop, while nobody else's batch on a limited campaign gets through.
"""


@value
class CreateCoupons:
    """Make coupons that are nobody's yet: `count` by the campaign's pattern, or one for each of `codes`.

    At most MAX_CREATED of them. All or nothing, but for codes that exist already.
    """

    command_id: str
    campaign_id: str
    count: int = 0
    codes: tuple[str, ...] = ()
    at: datetime | None = None
    channel: str = "cli"
    groups: frozenset[str] | None = None

    @property
    def coupons(self) -> int:
        """How many coupons it asks for."""
        return len(self.codes) or self.count


Command = (
    IssueCoupons
    | RedeemCoupons
    | PayOrder
    | CancelOrder
    | ReturnOrder
    | LockCoupons
    | ReleaseLock
    | ExpireLock
    | VoidCoupon
    | RecordCustomer
    | CreateCoupons
)
