"""What a decision about coupons works with: the request, and the offers that its codes turned out to be."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import LockCoupons, RedeemCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.ids import derived_id
from shared.domain.model.money import shown
from shared.domain.model.order import SHIPPING, Line, Order
from shared.domain.model.state import ActiveRedemption, LockedUse, LockState, PeriodKey, State
from shared.domain.model.value import value
from shared.domain.offers.condition_values import Values

END_OF_TIME = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class Basket:
    """What is left of an order to take off from: each line's amount (none without lines) and the whole, minor units.

    `room_minor` is the whole less what coupons of earlier requests took off, `rooms` the same line by line (None: they
    took nothing off a line). They don't lessen what a percentage is reckoned on, but all of them together never take
    off more than the order, nor more than a line, costs. `shipping_minor` is what is left of the shipping.
    """

    amounts: list[int]
    left_minor: int
    room_minor: int
    rooms: list[int] | None = None
    shipping_minor: int = 0
    lines: tuple[Line, ...] = ()

    def copy(self) -> "Basket":
        """A basket to try a choice on."""
        rooms = None if self.rooms is None else list(self.rooms)
        return Basket(list(self.amounts), self.left_minor, self.room_minor, rooms, self.shipping_minor, self.lines)


@dataclass(slots=True)
class Request:
    """One request for coupons. `at` is the time windows are judged by, `now` the database's, by which locks expire.

    `closed_at` is set where the order was cancelled or returned and the request does not place it anew. `replaced` is a
    lock whose uses the request gives back before anything else. `beside` are the coupons that the order has already.
    """

    command: RedeemCoupons | LockCoupons
    state: State
    now: datetime
    at: datetime
    customer_key: CustomerKey | None
    order: Order | None = None
    order_id: str | None = None
    basket: Basket | None = None
    closed_at: datetime | None = None
    closed_as: str = ""
    replaced: LockState | None = None
    existing: tuple["ExistingCoupon", ...] = ()
    memo: Values | None = None

    @property
    def customer(self) -> Customer | None:
        """Who it is for, as the request names them."""
        return self.command.customer

    @property
    def channel(self) -> str:
        """Where the order was placed, or else the way in that the request came by."""
        order, command = self.order, self.command
        return command.channel if order is None or order.channel is None else order.channel

    @property
    def segments(self) -> frozenset[str]:
        """The customer's segments: those that the request names, else those that the ledger knows."""
        if self.customer is not None and self.customer.segments is not None:
            return frozenset(self.customer.segments)
        return self.state.segments.get(self.customer_key or "", frozenset())

    @property
    def other_orders(self) -> frozenset[str]:
        """The customer's orders that stand, but for the one this is about."""
        return frozenset(self.state.orders_of.get(self.customer_key or "", set())) - {self.order_id or ""}

    @property
    def values(self) -> Values:
        """What conditions may look at, made once: order, customer and time, as plain JSON-like values."""
        if self.memo is None:
            self.memo = Values(condition_values(self))
        return self.memo


@value
class ExistingCoupon:
    """A coupon that stands redeemed for the order, or is held for it."""

    code: str
    campaign: Campaign


@dataclass(slots=True)
class Offer:
    """A coupon that the request may use.

    `code` is as the caller wrote it. `indices` are the lines it takes its discount from, None for the whole order;
    `units` of each: (how many count, how many there are), None for all. `fixed_minor` is the amount of a fixed offer in
    the order's currency, None where the campaign names it. `untouched_minor` is its discount on the untouched order (0
    without an order), spread by `weights`. `lock` and `locked` are the own hold that pays for the use; `promised`: the
    request named that lock, so limits and windows aren't judged again. `recurring`: it goes on with a subscription and
    takes no use.
    """

    code: str
    coupon: Coupon
    campaign: Campaign
    indices: tuple[int, ...] | None = None
    untouched_minor: int = 0
    weights: Sequence[int] = ()
    fixed_minor: int | None = None
    units: tuple[tuple[int, int], ...] | None = None
    lock: LockState | None = None
    locked: LockedUse | None = None
    promised: bool = False
    recurring: bool = False


@dataclass(slots=True)
class AppliedOffer:
    """An offer that won, with what it takes off in minor units (None where no order is known).

    `shares` are its parts: (id of the line, or SHIPPING, part), in the order of the lines.
    """

    offer: Offer
    discount_minor: int | None
    shares: tuple[tuple[str, int], ...] = ()


@dataclass(slots=True)
class RunningTotals:
    """What the coupons taken so far in this request have used up, by campaign.

    `taken` counts uses; `campaign` and `customer` count those that came on top of what was held before, and `periods`
    those in each period that a cap counts. `spent_minor` is what they take off, `paid_minor` what was held for that.
    """

    taken: dict[str, int] = field(default_factory=dict)
    campaign: dict[str, int] = field(default_factory=dict)
    customer: dict[str, int] = field(default_factory=dict)
    periods: dict[PeriodKey, int] = field(default_factory=dict)
    spent_minor: dict[str, int] = field(default_factory=dict)
    paid_minor: dict[str, int] = field(default_factory=dict)

    def copy(self) -> "RunningTotals":
        """The same, to count on by itself."""
        return RunningTotals(
            dict(self.taken), dict(self.campaign), dict(self.customer), dict(self.periods), dict(self.spent_minor),
            dict(self.paid_minor),
        )  # fmt: skip


def basket_of(order: Order, earlier: Sequence[ActiveRedemption | LockedUse] = ()) -> Basket:
    """The order as a basket, from which `earlier` requests have taken their part. Negative amounts count as 0."""
    amount_minor = max(0, order.amount_minor)
    shipping_minor = max(0, order.shipping_minor)
    amounts = [line.unit_minor * line.quantity for line in order.lines]
    if amounts and min(amounts) < 0:
        amounts = [max(amount, 0) for amount in amounts]
    if not earlier:
        return Basket(amounts, amount_minor, amount_minor, None, shipping_minor, order.lines)
    taken: dict[str, int] = {}
    for one in earlier:
        for line_id, part in one.lines:
            taken[line_id] = taken.get(line_id, 0) + part
    of_shipping = taken.pop(SHIPPING, 0)
    shipping_minor = max(shipping_minor - of_shipping, 0)
    room_minor = max(amount_minor + of_shipping - sum(one.discount_minor for one in earlier), 0)
    if not taken or not amounts:
        return Basket(amounts, amount_minor, room_minor, None, shipping_minor, order.lines)
    rooms = []
    for line, amount in zip(order.lines, amounts, strict=True):
        part = min(taken.get(line.line_id, 0), amount)
        rooms.append(amount - part)
        if part:
            taken[line.line_id] -= part  # two lines of one id share what was taken off it
    return Basket(amounts, amount_minor, room_minor, rooms, shipping_minor, order.lines)


def condition_values(request: Request) -> dict[str, Any]:
    """The values that conditions are evaluated on; what each holds: `shared.ledger.conditions`."""
    order, customer = request.order, request.customer or Customer()
    values: dict[str, Any] = {
        "at": request.at,
        "customer": {
            "customer_id": customer.customer_id,
            "email": customer.email,
            "mobile": customer.mobile,
            "segments": sorted(request.segments),
        },
    }
    if order is not None:
        values["order"] = {
            "order_id": order.order_id,
            "currency": order.currency,
            "amount_minor": order.amount_minor,
            "amount": float(shown(order.amount_minor, order.currency)),
            "shipping_minor": order.shipping_minor,
            "quantity": sum(line.quantity for line in order.lines),
            "channel": request.channel,
            "metadata": order.metadata or {},
            "lines": [
                {
                    "line_id": line.line_id,
                    "product_id": line.product_id,
                    "variant_id": line.variant_id,
                    "collection_ids": list(line.collection_ids),
                    "quantity": line.quantity,
                    "unit_minor": line.unit_minor,
                    "metadata": line.metadata or {},
                }
                for line in order.lines
            ],
        }
    return values


def named_once(codes: Sequence[str], state: State) -> list[tuple[str, Coupon | None]]:
    """Each different code as it was written first, with its coupon; None where there is none."""
    coupons, ids = state.coupons, state.coupon_ids
    if len(codes) == 1:  # as nearly always
        return [(codes[0], coupons.get(ids.get(code_key(codes[0]), "")))]
    keys: dict[str, str] = {}
    for code in codes:
        keys.setdefault(code_key(code), code)
    return [(code, coupons.get(ids.get(key, ""))) for key, code in keys.items()]


def existing_coupons(state: State, uses: Iterable[ActiveRedemption | LockedUse]) -> tuple[ExistingCoupon, ...]:
    """What an order has already, by coupon id so that it is always the same; of campaigns that still exist."""
    found = []
    for use in sorted(uses, key=lambda use: use.coupon_id):
        coupon, campaign = state.coupons.get(use.coupon_id), state.campaigns.get(use.campaign_id)
        if campaign is not None:
            found.append(ExistingCoupon(use.coupon_id if coupon is None else coupon.code, campaign))
    return tuple(found)


def holds_now(lock: LockState | None, now: datetime) -> bool:
    """Whether `lock` holds its uses: open, and its time not over. A lock that expires at `now` holds nothing."""
    return lock is not None and lock.status == "open" and lock.expires_at > now


def later(moment: datetime, seconds: float) -> datetime:
    """`moment` and `seconds` on, or the end of time where that lies beyond the calendar."""
    try:
        return moment + timedelta(seconds=seconds)
    except OverflowError:
        return END_OF_TIME


def redemption_id(command_id: str) -> str:
    """The id of the redemption that a command causes, the same for the same command."""
    return derived_id("redemption", command_id)
