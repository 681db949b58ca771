"""Request bodies of Gameball's clients, with the vendor's field names."""

from typing import Annotated

from pydantic import Field

from schemas.common import (
    Amount,
    Contact,
    Identifier,
    Identifiers,
    Moment,
    OptionalIdentifier,
    Quantity,
    Shop,
    TypedCode,
    UnitPrice,
    present,
)
from schemas.limits import MAX_CODES, MAX_INTEGER, MAX_LINES, MIN_INTEGER
from services.gateway.native.bodies import Body
from services.gateway.settings import MAX_LOCK_SECONDS
from shared.domain.model.customer import Customer

Minutes = Annotated[int, Field(ge=1, le=MAX_LOCK_SECONDS // 60)]


class GameballBody(Body):
    """Base of the bodies. Unknown fields are ignored, because clients send more fields than are read here."""

    model_config = Body.model_config | {"extra": "ignore"}


class CustomerIn(GameballBody):
    """A customer, in the fields that all calls share."""

    customerId: Identifier  # noqa: N815 - the vendor's own name
    email: Contact | None = None
    mobile: Contact | None = None

    @property
    def command_customer(self) -> Customer:
        """The customer of the command."""
        return Customer(present(self.customerId), self.email, self.mobile)


class PredefinedBody(CustomerIn):
    """A request for a coupon by the number of a rule."""

    ruleId: Annotated[int, Field(ge=MIN_INTEGER, le=MAX_INTEGER)] | Identifier  # noqa: N815


class ValidateBody(CustomerIn):
    """A code to validate for a customer, and optionally to lock."""

    lock: bool | None = None
    lockDuration: Minutes | None = None  # noqa: N815
    pin: Identifier | None = None


class BurnBody(CustomerIn):
    """Coupons or a lock to burn on a transaction."""

    customerId: OptionalIdentifier | None = None  # type: ignore[assignment]  # noqa: N815
    transactionId: Identifier  # noqa: N815
    coupons: Annotated[tuple[TypedCode, ...], Field(max_length=MAX_CODES)] | None = None
    lockReference: Identifier | None = None  # noqa: N815
    pin: Identifier | None = None

    def mistake(self) -> str | None:
        if bool(self.coupons) == (self.lockReference is not None):
            return "coupons, lockReference: give exactly one of them."
        return None


class ReleaseBody(GameballBody):
    """A lock to release."""

    lockReference: Identifier  # noqa: N815


class RedemptionIn(GameballBody):
    """The lock that an order burns."""

    couponsLockReference: Identifier | None = None  # noqa: N815


class LineItemIn(GameballBody):
    """One line of an order; `price` is of one unit."""

    productId: Identifier | None = None  # noqa: N815
    sku: Identifier | None = None
    quantity: Quantity = 1
    price: UnitPrice | None = None
    collection: Identifiers | None = None


class MerchantIn(GameballBody):
    """The merchant that an order belongs to, of several under one account."""

    uniqueId: Shop | None = None  # noqa: N815


class OrderBody(CustomerIn):
    """An order with the lock that it burns."""

    orderId: Identifier  # noqa: N815
    orderDate: Moment | None = None  # noqa: N815
    totalPrice: Amount | None = None  # noqa: N815
    totalPaid: Amount | None = None  # noqa: N815
    totalShipping: Amount | None = None  # noqa: N815
    lineItems: Annotated[tuple[LineItemIn, ...], Field(max_length=MAX_LINES)] | None = None  # noqa: N815
    redemption: RedemptionIn | None = None
    merchant: MerchantIn | None = None

    @property
    def shop_id(self) -> str | None:
        """Return the id of the merchant."""
        return None if self.merchant is None else self.merchant.uniqueId
