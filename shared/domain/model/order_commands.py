"""Commands about orders: place, change, pay, cancel, return. All commands: `shared.domain.model.commands`."""

from collections.abc import Mapping
from dataclasses import field
from datetime import datetime
from typing import Any, ClassVar, Final, Literal

from shared.constructor import constructor
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Customer
from shared.domain.model.ids import OrderKey
from shared.domain.model.names import Names, NamesOrder
from shared.domain.model.order import Order
from shared.domain.model.quantity import Quantity
from shared.domain.model.value import value

UnreadPart = Literal["code", "lock", "lines", "metadata", "channel", "subscription", "shipping"]
"""A part of an order that may be unreadable without making the rest so."""


@value
class UnreadField:
    """A field of an order that could not be read: `lines[2].unit_price`.

    `problem` says what it must be, without its subject and full stop. `given` is the code, as far as it can be shown.
    """

    part: UnreadPart
    field: str
    problem: str
    given: str = ""


@value
class RedeemCoupons(Names):
    """Use coupons on an order: those named by `codes`, and those held by `lock_reference`.

    `atomic`: all or nothing. `hold`: only hold the uses until the order is paid (`hold_seconds` at most); `takeover`:
    the hold of an older unpaid order of the same customer makes way. `priced` False: the order has no amounts, so rules
    that depend on them aren't judged, and a lock's coupons get the discount that the lock held.

    `complete`: the command has the whole order, so the order gives up the coupons that it no longer names; otherwise it
    adds to them. `changed`: the order was placed before and is different now.
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
    """number of coupons in the whole request, if this command is a part of it; 0: it is all of it"""
    metadata: Mapping[str, Any] | None = field(default=None, hash=False)
    """metadata of the redemption, passed on to events"""
    unread: tuple[UnreadField, ...] = ()
    """fields of the order that could not be read; coupons that depend on them are refused"""
    groups: frozenset[str] | None = None
    takeover: bool = False
    complete: bool = False
    changed: bool = False

    @property
    def named_codes(self) -> tuple[str, ...]:
        return self.codes

    @property
    def named_lock(self) -> str | None:
        return self.lock_reference

    @property
    def named_order(self) -> OrderKey:
        return self.order.order_id

    @property
    def recorded_codes(self) -> tuple[str, ...]:
        """Return the codes in the form that is recorded with the order: the same in whichever order they are named."""
        return self.codes if len(self.codes) < 2 else tuple(sorted(set(map(code_key, self.codes))))


new_redeem_coupons: Final = constructor(RedeemCoupons)  # nearly every order creates one


@value
class PayOrder(NamesOrder):
    """The order was paid: burn what it holds."""

    customer: ClassVar[None] = None
    groups: ClassVar[None] = None

    command_id: str
    order_id: OrderKey
    at: datetime | None = None
    channel: str = "orders"


@value
class FailPayment(NamesOrder):
    """A payment of the order failed: release what it holds. If it is paid after all, that is judged again."""

    customer: ClassVar[None] = None

    command_id: str
    order_id: OrderKey
    at: datetime | None = None
    channel: str = "orders"
    groups: frozenset[str] | None = None


@value
class CancelOrder(NamesOrder):
    """The order was cancelled: restore what it redeemed, release what it holds."""

    customer: ClassVar[None] = None

    command_id: str
    order_id: OrderKey
    at: datetime | None = None
    channel: str = "orders"
    groups: frozenset[str] | None = None


@value
class ReturnOrder(NamesOrder):
    """The order was returned, `whole` or in part: `lines` (line id, units), or else goods of `amount` at the order's
    own prices, or else `refunded_amount`, what the customer got back after discounts. Amounts are decimal strings in
    the order's currency. `return_id` distinguishes equal returns at the same time. A return in part restores its share
    of the discount; when all parts of the order are returned, that is a whole return.
    """

    customer: ClassVar[None] = None

    command_id: str
    order_id: OrderKey
    whole: bool = True
    at: datetime | None = None
    channel: str = "orders"
    lines: tuple[tuple[str, Quantity], ...] = ()
    amount: str | None = None
    groups: frozenset[str] | None = None
    return_id: str | None = None
    refunded_amount: str | None = None


OrderCommand = RedeemCoupons | PayOrder | FailPayment | CancelOrder | ReturnOrder
"""Commands that may be the first event of their order, which is then inserted."""
