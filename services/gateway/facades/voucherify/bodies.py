"""Request bodies of Voucherify's clients. Amounts are whole hundredths of the currency; unknown fields are ignored."""

from decimal import Decimal
from typing import Annotated, Final, Literal

from pydantic import Field

from schemas.common import Amount, Contact, HandedOn, Identifier, Moment, OptionalIdentifier, Text, TypedCode, present
from schemas.limits import MAX_CODES, MAX_LINES, MAX_QUANTITY
from services.gateway.native.bodies import Body
from shared.domain.model.commands import MAX_CREATED
from shared.domain.model.customer import Customer
from shared.domain.model.ids import order_key
from shared.domain.model.money import MoneyError, decimals, half_up
from shared.domain.model.order import ExactLine, Line, Order, check_amounts

HUNDREDTHS: Final = 2
"""Voucherify multiplies every amount by 100, whatever the decimals of the currency are."""

MOST: Final = 10**15
Hundredths = Annotated[int, Field(ge=0, le=MOST)]


class VoucherifyBody(Body):
    """Base of the bodies. Unknown fields are ignored, because clients send more fields than are read here."""

    model_config = Body.model_config | {"extra": "ignore"}


class DiscountIn(VoucherifyBody):
    """The discount of a voucher."""

    type: Literal["PERCENT", "AMOUNT", "UNIT", "FIXED"]
    percent_off: Amount | None = None
    amount_off: Hundredths | None = None
    amount_limit: Hundredths | None = None
    unit_off: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    unit_type: Identifier | None = None


class RedemptionIn(VoucherifyBody):
    """The number of times that a voucher can be used; null means unlimited."""

    quantity: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = 1


class CodeConfigIn(VoucherifyBody):
    """The format of codes; each # of a pattern is a random character."""

    pattern: Identifier | None = None
    prefix: Identifier | None = None
    postfix: Identifier | None = None
    length: Annotated[int, Field(ge=1, le=64)] | None = None
    charset: Identifier | None = None


class VoucherIn(VoucherifyBody):
    """A voucher to create: a stand-alone one, or the template of a campaign's vouchers."""

    code: Identifier | None = None
    type: Literal["DISCOUNT_VOUCHER"] | None = None
    category: Text | None = None
    discount: DiscountIn
    start_date: Moment | None = None
    expiration_date: Moment | None = None
    redemption: RedemptionIn | None = None
    code_config: CodeConfigIn | None = None
    active: bool | None = None
    additional_info: Text | None = None
    metadata: HandedOn | None = None


class CampaignIn(VoucherifyBody):
    """A campaign with vouchers of one kind."""

    name: Identifier
    campaign_type: Literal["DISCOUNT_COUPONS"] | None = None
    type: Literal["AUTO_UPDATE", "STATIC", "STANDALONE"] | None = None
    category: Text | None = None
    description: Text | None = None
    start_date: Moment | None = None
    expiration_date: Moment | None = None
    vouchers_count: Annotated[int, Field(ge=0, le=MAX_CREATED)] | None = None
    voucher: VoucherIn
    metadata: HandedOn | None = None


class CustomerIn(VoucherifyBody):
    """A customer: the caller's own id, an email address or a phone number."""

    source_id: OptionalIdentifier | None = None
    id: OptionalIdentifier | None = None
    email: Contact | None = None
    phone: Contact | None = None

    @property
    def command_customer(self) -> Customer:
        """The customer of the command."""
        return Customer(present(self.source_id) or present(self.id), self.email, self.phone)


class PublishedCampaignIn(VoucherifyBody):
    """The campaign and the number of vouchers of a publication."""

    name: Identifier
    count: Annotated[int, Field(ge=1, le=20)] | None = None


class PublicationIn(VoucherifyBody):
    """A publication of a campaign's vouchers to a customer."""

    campaign: PublishedCampaignIn
    customer: CustomerIn
    source_id: Identifier | None = None
    metadata: HandedOn | None = None


class RedeemableIn(VoucherifyBody):
    """A voucher by its code."""

    object: Literal["voucher"]
    id: TypedCode


class ItemIn(VoucherifyBody):
    """One line of an order. `price` is of one unit, `amount` of the line."""

    product_id: Identifier | None = None
    source_id: Identifier | None = None
    sku_id: Identifier | None = None
    quantity: Annotated[int, Field(ge=1, le=MAX_QUANTITY)] | None = None
    price: Hundredths | None = None
    amount: Hundredths | None = None
    metadata: HandedOn | None = None

    def priced(self, currency: str) -> tuple[int, int, ExactLine | None]:
        """Return the quantity, the price of one unit, and the exact amounts if that price is not whole."""
        quantity = self.quantity or 1
        if self.price is not None:
            return quantity, minor(self.price, currency), None
        amount = minor(self.amount or 0, currency)
        if amount % quantity == 0:
            return quantity, amount // quantity, None
        return quantity, amount // quantity, ExactLine(quantity, Decimal(amount) / quantity, amount)


class OrderIn(VoucherifyBody):
    """An order. `amount` is by default the sum of the items."""

    id: Identifier | None = None
    source_id: Identifier | None = None
    amount: Hundredths | None = None
    items: Annotated[tuple[ItemIn, ...], Field(max_length=MAX_LINES)] | None = None
    metadata: HandedOn | None = None

    def to_domain(self, currency: str, order_id: str) -> Order:
        """Convert to the order of a command; `order_id` is used if it has no id. Raises MoneyError."""
        lines = []
        for number, item in enumerate(self.items or (), start=1):
            quantity, unit_minor, exact = item.priced(currency)
            product = item.product_id or item.source_id or item.sku_id or str(number)
            lines.append(
                Line(
                    line_id=str(number), product_id=product, quantity=quantity, unit_minor=unit_minor,
                    variant_id=item.sku_id, exact=exact,
                )
            )  # fmt: skip
        total = sum(line.amount_minor for line in lines) if self.amount is None else minor(self.amount, currency)
        key = order_key(None, self.source_id or self.id or order_id)
        order = Order(
            order_id=key, currency=currency, amount_minor=total, lines=tuple(lines), metadata=self.metadata or None
        )
        return check_amounts(order)


class SessionIn(VoucherifyBody):
    """A session that locks the validated vouchers."""

    type: Literal["LOCK"] | None = None
    key: Identifier | None = None
    ttl: Annotated[int, Field(ge=1, le=86_400)] | None = None
    ttl_unit: Literal["SECONDS", "MINUTES", "HOURS", "DAYS"] | None = None


class RedeemablesIn(VoucherifyBody):
    """Vouchers to validate or redeem on an order."""

    redeemables: Annotated[tuple[RedeemableIn, ...], Field(min_length=1, max_length=MAX_CODES)]
    order: OrderIn | None = None
    customer: CustomerIn | None = None
    session: SessionIn | None = None
    metadata: HandedOn | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of the vouchers."""
        return tuple(one.id for one in self.redeemables)

    @property
    def command_customer(self) -> Customer | None:
        """The customer of the command."""
        return None if self.customer is None else self.customer.command_customer


class RollbackIn(VoucherifyBody):
    """The reason of a rollback."""

    reason: Text | None = None
    metadata: HandedOn | None = None


def minor(hundredths: int, currency: str) -> int:
    """Convert hundredths to minor units. Raises MoneyError if the currency has too few decimals."""
    places = decimals(currency)
    if places >= HUNDREDTHS:
        return int(hundredths * 10 ** (places - HUNDREDTHS))
    unit: int = 10 ** (HUNDREDTHS - places)
    whole, rest = divmod(hundredths, unit)
    if rest:
        raise MoneyError(f"{hundredths} is {hundredths / 100:g} {currency}, which has {places} decimals: round it.")
    return whole


def hundredths(amount_minor: int, currency: str) -> int:
    """Convert minor units to hundredths; a third decimal is rounded half up."""
    places = decimals(currency)
    if places <= HUNDREDTHS:
        return int(amount_minor * 10 ** (HUNDREDTHS - places))
    unit: int = 10 ** (places - HUNDREDTHS)
    return half_up(amount_minor, unit)
