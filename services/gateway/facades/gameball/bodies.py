"""What Gameball's clients send, under the vendor's own names."""

from typing import Annotated

from pydantic import Field

from schemas.common import Amount, Contact, Identifier, Identifiers, Moment
from schemas.limits import MAX_CODES, MAX_INTEGER, MAX_LINES, MAX_QUANTITY, MIN_INTEGER
from services.gateway.native.bodies import Body
from services.gateway.settings import MAX_LOCK_SECONDS
from shared.domain.model.customer import Customer

Minutes = Annotated[int, Field(ge=1, le=MAX_LOCK_SECONDS // 60)]


class GameballBody(Body):
    """Bodies of clients in the field carry more than is read here; what isn't known is ignored."""

    model_config = Body.model_config | {"extra": "ignore"}


class CustomerIn(GameballBody):
    """Who, in the fields that every call has."""

    customerId: Identifier  # noqa: N815 - the vendor's own name
    email: Contact | None = None
    mobile: Contact | None = None

    @property
    def who(self) -> Customer:
        """The customer as commands name them."""
        return Customer(self.customerId, self.email, self.mobile)


class PredefinedBody(CustomerIn):
    """Generate a coupon by the rule of that number."""

    ruleId: Annotated[int, Field(ge=MIN_INTEGER, le=MAX_INTEGER)] | Identifier  # noqa: N815


class ValidateBody(CustomerIn):
    """Is the code good for the customer, and shall it be held?"""

    lock: bool | None = None
    lockDuration: Minutes | None = None  # noqa: N815
    pin: Identifier | None = None


class BurnBody(CustomerIn):
    """Use coupons, or what a lock holds, on a transaction."""

    customerId: Identifier | None = None  # type: ignore[assignment]  # noqa: N815
    transactionId: Identifier  # noqa: N815
    coupons: Annotated[tuple[Identifier, ...], Field(max_length=MAX_CODES)] | None = None
    lockReference: Identifier | None = None  # noqa: N815
    pin: Identifier | None = None

    def mistake(self) -> str | None:
        if bool(self.coupons) == (self.lockReference is not None):
            return "coupons, lockReference: give exactly one of them."
        return None


class ReleaseBody(GameballBody):
    """Let a lock go."""

    lockReference: Identifier  # noqa: N815


class RedemptionIn(GameballBody):
    """What an order redeems."""

    couponsLockReference: Identifier | None = None  # noqa: N815


class LineItemIn(GameballBody):
    """One line of an order; `price` is one unit's."""

    productId: Identifier | None = None  # noqa: N815
    sku: Identifier | None = None
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] = 1
    price: Amount | None = None
    collection: Identifiers | None = None


class OrderBody(CustomerIn):
    """An order, with the lock that it burns."""

    orderId: Identifier  # noqa: N815
    orderDate: Moment | None = None  # noqa: N815
    totalPrice: Amount | None = None  # noqa: N815
    totalPaid: Amount | None = None  # noqa: N815
    totalShipping: Amount | None = None  # noqa: N815
    lineItems: Annotated[tuple[LineItemIn, ...], Field(max_length=MAX_LINES)] | None = None  # noqa: N815
    redemption: RedemptionIn | None = None
