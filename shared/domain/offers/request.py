"""One request for coupons, as it is judged."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import LockCoupons, RedeemCoupons
from shared.domain.model.coupon import Coupon, code_key
from shared.domain.model.customer import Customer, CustomerKey
from shared.domain.model.order import Order
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
    """One request for coupons. Windows are judged at `at`; locks expire by `now`, the database's time.

    `closed_at` is set where the order was cancelled or returned and the request does not place it again. `replaced` is
    a lock whose uses the request releases first. `existing` are the coupons that the order has already.
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
    memo: Values | None = None

    @property
    def customer(self) -> Customer | None:
        """The customer as the request names them."""
        return self.command.customer

    @property
    def channel(self) -> str:
        """Where the order was placed, or else how the request came in."""
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
        """The customer's other orders that are neither cancelled nor returned."""
        return frozenset(self.state.orders_of.get(self.customer_key or "", set())) - {self.order_id or ""}

    @property
    def values(self) -> Values:
        """The values that conditions read, built once."""
        if self.memo is None:
            self.memo = request_values(self)
        return self.memo


def named_once(codes: Sequence[str], state: State) -> list[tuple[str, Coupon | None]]:
    """Return each different code as it was written first, with its coupon; None where there is none."""
    coupons, ids = state.coupons, state.coupon_ids
    if len(codes) == 1:  # as nearly always
        return [(codes[0], coupons.get(ids.get(code_key(codes[0]), "")))]
    keys: dict[str, str] = {}
    for code in codes:
        keys.setdefault(code_key(code), code)
    return [(code, coupons.get(ids.get(key, ""))) for key, code in keys.items()]


def existing_coupons(state: State, uses: Iterable[ActiveRedemption | LockedUse]) -> tuple[ExistingCoupon, ...]:
    """Return what an order has already, by coupon id so that the order is always the same."""
    found = []
    for use in sorted(uses, key=lambda use: use.coupon_id):
        coupon, campaign = state.coupons.get(use.coupon_id), state.campaigns.get(use.campaign_id)
        if campaign is not None:
            found.append(ExistingCoupon(use.coupon_id if coupon is None else coupon.code, campaign))
    return tuple(found)
