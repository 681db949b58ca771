"""One request for coupons as it is judged, and each of its coupons as an offer: with its lines, price and hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from shared.domain.model.campaign import Campaign, DiscountOffer
from shared.domain.model.commands import LockCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, State
from shared.domain.model.value import value
from shared.domain.offers.conditions import Values, request_values

if TYPE_CHECKING:
    from shared.domain.offers.basket import Basket


@value
class ExistingCoupon:
    """A coupon that the order has redeemed or holds already."""

    code: str
    campaign: Campaign


@dataclass(slots=True)
class Request:
    """One request for coupons. Validity windows are checked at `at`; locks expire by `now`, the database's time.

    `closed_at` is set if the order was cancelled or returned and the request does not place it again. `replaced` is
    a lock whose uses the request releases first. `existing` are the coupons that the order has already. `given_up` are
    uses that a changed order doesn't need any more: they make room. `judges_customer`: conditions that read the
    customer are evaluated; a return in part says nothing about the customer.
    """

    command: RedeemCoupons | LockCoupons
    state: State
    now: datetime
    at: datetime
    customer_key: CustomerKey | None
    order: Order | None = None
    order_id: str | None = None
    basket: "Basket | None" = None
    closed_at: datetime | None = None
    closed_as: str = ""
    replaced: LockState | None = None
    existing: tuple[ExistingCoupon, ...] = ()
    given_up: tuple[ActiveRedemption | LockedUse, ...] = ()
    judges_customer: bool = True
    cache: Values | None = None

    @property
    def customer(self) -> Customer | None:
        """Return the customer as the request names them."""
        return self.command.customer

    @property
    def takes_over(self) -> bool:
        """Return whether the hold of an older order of the customer makes way for this request."""
        return isinstance(self.command, RedeemCoupons) and self.command.takeover

    @property
    def channel(self) -> str:
        """Return the channel of the order, or else that of the request."""
        order, command = self.order, self.command
        return command.channel if order is None or order.channel is None else order.channel

    @property
    def segments(self) -> frozenset[str]:
        """Return the customer's segments: those that the request names, else those that the ledger knows."""
        if self.customer is not None and self.customer.segments is not None:
            return frozenset(self.customer.segments)
        return self.state.segments.get(self.customer_key or "", frozenset())

    @property
    def other_orders(self) -> frozenset[str]:
        """Return the customer's other orders that are neither cancelled nor returned."""
        return frozenset(self.state.orders_of.get(self.customer_key or "", set())) - {self.order_id or ""}

    @property
    def values(self) -> Values:
        """Return the values that conditions read, built once."""
        if self.cache is None:
            self.cache = request_values(self)
        return self.cache


def distinct_coupons(codes: Sequence[str], state: State) -> list[tuple[str, Coupon | None]]:
    """Return each different code as it was written first, with its coupon, or None if there is none."""
    coupons, ids = state.coupons, state.coupon_ids
    if len(codes) == 1:  # as nearly always
        return [(codes[0], coupons.get(ids.get(code_key(codes[0]), "")))]
    keys: dict[str, str] = {}
    for code in codes:
        keys.setdefault(code_key(code), code)
    return [(code, coupons.get(ids.get(key, ""))) for key, code in keys.items()]


def existing_coupons(state: State, uses: Iterable[ActiveRedemption | LockedUse]) -> tuple[ExistingCoupon, ...]:
    """Return the coupons that an order has already, sorted by coupon id so that the result is deterministic."""
    found = []
    for use in sorted(uses, key=lambda use: use.coupon_id):
        coupon, campaign = state.coupons.get(use.coupon_id), state.campaigns.get(use.campaign_id)
        if campaign is not None:
            found.append(ExistingCoupon(use.coupon_id if coupon is None else coupon.code, campaign))
    return tuple(found)


@value
class Target:
    """The lines or units that an offer takes its discount from.

    `lines` are indices of the order's lines in their order; None is the whole order, () no line at all. `by_unit`:
    units are priced one by one, at most `max_units` of them (None: all). Then `lines` are in the order in which units
    are taken: the cheapest first, or the most expensive.
    """

    lines: tuple[int, ...] | None = None
    by_unit: bool = False
    max_units: int | None = None


WHOLE_ORDER: Final = Target()
NO_LINES: Final = Target(())


@value
class UnitGroup:
    """`count` units of the line at `index`. Each costs `left_minor`, and `room_minor` of that may be taken off."""

    index: int
    count: int
    left_minor: int
    room_minor: int


@value
class ResolvedOffer:
    """A coupon that the request names, with all that judging it needs.

    `code` is as the caller wrote it. `discount` is what the campaign offers for this order. `target` is None without an
    order, or if none of its lines is eligible. `fixed_minor` is the amount of a fixed discount in the order's currency
    (None: the currency can't express it). `lock` and `locked` are the customer's or order's own hold that pays for the
    use; `held_by_others` counts other holds. `promised`: the request names that lock, so limits of uses and windows
    aren't judged again. `recurring`: the coupon continues with a subscription and takes no use. `used`: the order has
    redeemed the coupon already, and keeps its use. `older` is the hold of an older unpaid order of the customer, which
    makes way if it must (see `takeover`). `discount_minor`, `weights` and `unit_groups` are the price on the untouched
    order (see `price`); 0 and empty without an order, or if the order has nothing to take it from. `trial`: the order
    costs nothing, and takes the coupon for its subscription (see `cycles`).
    """

    code: str
    coupon: Coupon
    campaign: Campaign
    discount: DiscountOffer
    target: Target | None = None
    fixed_minor: int | None = 0
    discount_minor: int = 0
    weights: Sequence[int] = ()
    unit_groups: tuple[UnitGroup, ...] = ()
    trial: bool = False
    lock: LockState | None = None
    locked: LockedUse | None = None
    held_by_others: int = 0
    promised: bool = False
    recurring: bool = False
    used: ActiveRedemption | None = None
    older: LockState | None = None
