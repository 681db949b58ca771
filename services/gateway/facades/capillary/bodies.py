"""Request bodies of Capillary's clients: one coupon or a list of coupons under `root`."""

from typing import Annotated, Any

from pydantic import Field

from schemas.common import Amount, Contact, Identifier, Text, TypedCode
from schemas.limits import CONTROL_CHARACTERS, NO_CONTROL_CHARACTERS, check_metadata
from services.gateway.native.bodies import Body

MAX_READ = 1_000
"""Maximum coupons that are parsed. Up to this number, the error about too many coupons contains the count."""


class CapillaryBody(Body):
    """Base of the bodies. Unknown fields are ignored, because clients send more fields than are read here."""

    model_config = Body.model_config | {"extra": "ignore"}


class CustomerIn(CapillaryBody):
    """A customer, by any registered identifier."""

    mobile: Contact | None = None
    email: Contact | None = None
    external_id: Contact | None = None


class TransactionIn(CapillaryBody):
    """The transaction on which the coupon is used."""

    number: Contact | None = None
    amount: Amount | None = None


class FieldIn(CapillaryBody):
    """One custom field of the redemption."""

    name: Identifier
    value: Text


class FieldsIn(CapillaryBody):
    """The custom fields of a redemption."""

    field: Annotated[tuple[FieldIn, ...], Field(max_length=100)] = ()


class CouponIn(CapillaryBody):
    """One coupon to redeem."""

    code: TypedCode
    validation_code: Contact | None = None
    customer: CustomerIn | None = None
    custom_fields: FieldsIn | None = None
    transaction: Annotated[tuple[TransactionIn, ...], Field(max_length=1)] | TransactionIn = ()

    @property
    def metadata(self) -> dict[str, Any] | None:
        """The custom fields as the redemption's metadata."""
        fields = () if self.custom_fields is None else self.custom_fields.field
        return {"custom_fields": {one.name: one.value for one in fields}} if fields else None

    @property
    def used_on(self) -> TransactionIn | None:
        """The transaction, which may be sent as an object or as a list of one."""
        if isinstance(self.transaction, tuple):
            return self.transaction[0] if self.transaction else None
        return self.transaction


class RootIn(CapillaryBody):
    """The `root` object of a request."""

    coupon: Annotated[tuple[CouponIn, ...], Field(min_length=1, max_length=MAX_READ)] | CouponIn

    @property
    def coupons(self) -> tuple[CouponIn, ...]:
        """The coupons as a tuple, which may be sent as an object or as a list."""
        return self.coupon if isinstance(self.coupon, tuple) else (self.coupon,)


class RedeemBody(CapillaryBody):
    """The body of a redeem request."""

    root: RootIn

    def mistake(self) -> str | None:
        for number, coupon in enumerate(self.root.coupons):
            place = f"root.coupon[{number}]"
            try:
                check_metadata(coupon.metadata)
            except ValueError as error:
                return f"{place}.custom_fields: {error}."
            transaction = coupon.used_on
            for name, text in (
                ("transaction.number", None if transaction is None else transaction.number),
                ("customer.external_id", None if coupon.customer is None else coupon.customer.external_id),
            ):
                if text is not None and CONTROL_CHARACTERS.search(text):
                    return f"{place}.{name}: {NO_CONTROL_CHARACTERS}."
        return None
