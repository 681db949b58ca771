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
    GivenCode,
    Identifier,
    Identifiers,
    Metadata,
    Moment,
    OrderCustomer,
    Quantity,
    Text,
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


class OrderPlaced(Event):
    """An order was placed. `customer` is None for a guest, otherwise it has at least one identifier.

    `amount` is the price of the goods without shipping. `atomic`: use all coupons or none; absent means false.
    `lock_reference` is a lock made for this order beforehand. `channel`: where it was placed ("web", "store").
    `subscription_id` and `cycle`: the order is the subscription's first (1) or a later one. `validation_code` is a
    second secret that some campaigns require.
    """

    order_id: Identifier
    customer: OrderCustomer | None = None
    placed_at: Moment
    currency: Currency
    amount: Amount
    shipping_amount: Amount | None = None
    lines: Annotated[tuple[OrderLine, ...], Field(max_length=MAX_LINES)] | None = None
    coupon_codes: Annotated[tuple[GivenCode, ...], Field(max_length=MAX_CODES)] | None = None
    lock_reference: Identifier | None = None
    atomic: bool | None = None
    channel: Identifier | None = None
    subscription_id: Identifier | None = None
    cycle: Annotated[int, Field(ge=1, le=MAX_CYCLE)] | None = None
    validation_code: Annotated[Identifier | None, Field(repr=False)] = None
    metadata: Metadata | None = None

    def problem(self) -> str | None:
        customer = self.customer
        if customer is not None and not (customer.customer_id or customer.email or customer.mobile):
            return "customer: has no identifier; give customer_id, email or mobile, or null for a guest."
        if self.cycle is not None and self.subscription_id is None:
            return "cycle: needs a subscription_id; give it, or leave cycle out."
        if problem := metadata_problem(self.metadata):
            return problem
        for number, line in enumerate(self.lines or ()):
            if line.metadata and (problem := metadata_problem(line.metadata, f"lines[{number}].metadata")):
                return problem
        return None


class OrderPaid(Event):
    """An order was paid."""

    order_id: Identifier
    paid_at: Moment


class OrderCancelled(Event):
    """A whole order was cancelled."""

    order_id: Identifier
    cancelled_at: Moment
    reason: Text | None = None


class ReturnedLine(EventPart):
    """The number of returned units of a line, or the weight or length."""

    line_id: Identifier
    quantity: Quantity


class OrderReturned(Event):
    """An order was returned: the given `lines` or `amount`, or the whole order if neither is given."""

    order_id: Identifier
    returned_at: Moment
    lines: Annotated[tuple[ReturnedLine, ...], Field(max_length=MAX_LINES)] | None = None
    amount: Amount | None = None
    reason: Text | None = None

    @property
    def whole(self) -> bool:
        """Return whether the whole order was returned."""
        return not self.lines and self.amount is None
