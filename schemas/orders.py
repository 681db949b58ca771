"""Topic `orders`: the events of an order system. Key: order id.

Optional lists may be absent or null, and both mean empty: read them as `order.lines or ()`.
"""

from typing import Annotated

from pydantic import Field

from schemas.common import (
    Amount,
    Currency,
    DefaultsToPosition,
    Event,
    EventPart,
    Identifier,
    Identifiers,
    Metadata,
    Moment,
    OrderCustomer,
    Quantity,
    Shop,
    Text,
    TypedCode,
    UnitPrice,
    metadata_problem,
)
from schemas.limits import MAX_CODES, MAX_LINES
from schemas.limits import MAX_CYCLE as MAX_CYCLE  # noqa: PLC0414 - the gateway imports it from here


class OrderLine(EventPart):
    """One line of an order. `unit_price` is the price of one unit in the order's currency; negative for a rebate.

    `quantity` is a number of units (2), or a weight or length with at most three decimals (0.395).
    """

    line_id: Annotated[Identifier, DefaultsToPosition()]
    product_id: Identifier
    variant_id: Identifier | None = None
    collection_ids: Identifiers | None = None
    quantity: Quantity
    unit_price: UnitPrice
    metadata: Metadata | None = None


class OrderContent(Event):
    """A whole order. `customer` is None for a guest, otherwise it has at least one identifier.

    `amount` is the price of the goods without shipping. `atomic`: use all coupons or none; absent means false.
    `lock_reference` is a lock made for this order beforehand. `channel`: where it was placed ("web", "store").
    `subscription_id` and `cycle`: the order is the subscription's first (1) or a later one. `validation_code` is a
    second secret that some campaigns require. `shop_id`: the shop that numbers its orders; see OrderReference.
    """

    order_id: Identifier
    customer: OrderCustomer | None = None
    currency: Currency
    amount: Amount
    shipping_amount: Amount | None = None
    lines: Annotated[tuple[OrderLine, ...], Field(max_length=MAX_LINES)] | None = None
    coupon_codes: Annotated[tuple[TypedCode, ...], Field(max_length=MAX_CODES)] | None = None
    lock_reference: Identifier | None = None
    atomic: bool | None = None
    channel: Identifier | None = None
    subscription_id: Identifier | None = None
    cycle: Annotated[int, Field(ge=1, le=MAX_CYCLE)] | None = None
    validation_code: Annotated[Identifier | None, Field(repr=False)] = None
    metadata: Metadata | None = None
    shop_id: Shop | None = None

    def problem(self) -> str | None:
        customer = self.customer
        # Identifiers that are sent empty are absent: the order is a guest's.
        if customer is not None and customer.customer_id is None and customer.email is None and customer.mobile is None:
            return "customer: has no identifier; give customer_id, email or mobile, or null for a guest."
        if self.cycle is not None and self.subscription_id is None:
            return "cycle: needs a subscription_id; give it, or leave cycle out."
        if problem := metadata_problem(self.metadata):
            return problem
        for number, line in enumerate(self.lines or ()):
            if line.metadata and (problem := metadata_problem(line.metadata, f"lines[{number}].metadata")):
                return problem
        return None


class OrderPlaced(OrderContent):
    """An order was placed."""

    placed_at: Moment


class OrderChanged(OrderContent):
    """An order is different now: the whole order, as it is from `changed_at` on, with goods that were returned."""

    changed_at: Moment
    reason: Text | None = None

    @property
    def placed_at(self) -> None:
        """Return None: the event doesn't say when the order was placed."""
        return None


class OrderReference(Event):
    """An event of an order that it names by its id.

    `shop_id`: shops that number their orders independently each have their own order ids; the two name the order
    together. Without it, or if it is empty, the order belongs to no shop, and all such order ids are in one space.
    """

    order_id: Identifier
    shop_id: Shop | None = None


class OrderPaid(OrderReference):
    """An order was paid."""

    paid_at: Moment


class OrderPaymentFailed(OrderReference):
    """A payment of an order failed. The order releases what it holds at once."""

    failed_at: Moment
    reason: Text | None = None


class OrderCancelled(OrderReference):
    """A whole order was cancelled."""

    cancelled_at: Moment
    reason: Text | None = None


class ReturnedLine(EventPart):
    """The number of returned units of a line, or the weight or length."""

    line_id: Identifier
    quantity: Quantity


class OrderReturned(OrderReference):
    """An order was returned: the given `lines`, `amount` or `refunded_amount`, or the whole order if none is given.

    `amount` is goods at the order's own prices, `refunded_amount` what the customer got back after discounts.
    `return_id` distinguishes returns of the same goods at the same time.
    """

    returned_at: Moment
    lines: Annotated[tuple[ReturnedLine, ...], Field(max_length=MAX_LINES)] | None = None
    amount: Amount | None = None
    reason: Text | None = None
    return_id: Identifier | None = None
    refunded_amount: Amount | None = None

    @property
    def whole(self) -> bool:
        """Return whether the whole order was returned."""
        return not self.lines and self.amount is None and self.refunded_amount is None
