"""Models of request bodies. Orders and customers have the same fields as in events.

Bodies are parsed by `schemas.parsing`, as events are, so that an amount that is a JSON number keeps its digits.
`body_of` parses a body, and `takes` documents it for OpenAPI.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, TypeVar
from uuid import uuid4

from fastapi import Request
from pydantic import BaseModel, ConfigDict, Field

from schemas.common import (
    MAX_CODES,
    MAX_LINES,
    Amount,
    Contact,
    Currency,
    Identifier,
    Identifiers,
    Metadata,
    Moment,
    OptionalIdentifier,
    Quantity,
    Shop,
    TypedCode,
    metadata_problem,
    present,
)
from schemas.orders import MAX_CYCLE, OrderLine
from schemas.parsing import InvalidDocumentError, parse
from services.gateway import documents
from services.gateway.problems import Problem
from services.gateway.settings import MAX_LOCK_SECONDS
from shared.domain.model.customer import NO_RULES, Customer, identifiers
from shared.domain.model.ids import OrderKey, order_key
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.ledger.order_conversion import to_customer, to_lines, to_order

MAX_ERRORS: Final = 20
MODELS: Final[dict[str, type[BaseModel]]] = {}
"""Models of request and response bodies by name, for the OpenAPI document."""

BodyT = TypeVar("BodyT", bound=BaseModel)


class Body(BaseModel):
    """Base of all request and response bodies: strict; unknown fields are errors; blank optional strings are absent."""

    blank_is_absent: ClassVar[bool] = True
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        MODELS[cls.__name__] = cls

    def mistake(self) -> str | None:
        """Return a sentence about fields that contradict each other, or None."""
        return None


_NO_PHONE: Final = "customer: the phone number is not valid; write it with its country code, for example +4930123456."
_NO_EMAIL: Final = "customer: the email address is not valid; write it like john.smith@email.com."


class CustomerBody(Body):
    """A customer: at least one of your customer id, an email address, and a phone number with its country code."""

    customer_id: OptionalIdentifier | None = None
    email: Contact | None = None
    mobile: Contact | None = None
    segments: Annotated[Identifiers | None, Field(description="the customer's segments; leave out if unknown")] = None

    def mistake(self) -> str | None:
        given = [kind for kind in ("customer_id", "email", "mobile") if present(getattr(self, kind))]
        if not given:
            return "customer: `customer_id`, `email` or `mobile` is required, or leave customer out."
        if given != ["customer_id"] and not identifiers(self.to_domain(), NO_RULES):
            return _NO_PHONE if "mobile" in given else _NO_EMAIL
        return None

    def to_domain(self) -> Customer:
        """Convert to the customer of a command."""
        return to_customer(self)


ShopId = Annotated[
    Shop | None,
    Field(description="the shop, if several number their orders independently; the two ids name the order together"),
]


class OrderBody(Body):
    """An order. `amount` is the price of the goods without shipping; by default the sum of the lines."""

    order_id: Identifier | None = None
    currency: Currency
    amount: Amount | None = None
    shipping_amount: Amount | None = None
    lines: Annotated[tuple[OrderLine, ...], Field(max_length=MAX_LINES)] | None = None
    placed_at: Moment | None = None
    channel: Identifier | None = None
    subscription_id: Identifier | None = None
    cycle: Annotated[int, Field(ge=1, le=MAX_CYCLE)] | None = None
    metadata: Metadata | None = None
    shop_id: ShopId = None

    def mistake(self) -> str | None:
        if self.amount is None and not self.lines:
            return "order: `amount` or `lines` is required."
        if self.cycle is not None and self.subscription_id is None:
            return "order.cycle: needs `subscription_id`; give it, or leave cycle out."
        for metadata in (self.metadata, *[line.metadata for line in self.lines or () if line.metadata]):
            if problem := metadata_problem(metadata):
                return f"order.{problem}"
        return None

    def to_domain(self) -> Order:
        """Convert to the order of a command. Raises MoneyError."""
        lines = to_lines(self.lines or (), self.currency)  # first: a problem names the line before the amount
        return to_order(self, self.order_id or f"cart {uuid4()}", lines=lines)


Codes = Annotated[tuple[TypedCode, ...], Field(min_length=1, max_length=MAX_CODES)]
LockSeconds = Annotated[int, Field(ge=1, le=MAX_LOCK_SECONDS)]


class AskedBody(Body):
    """Fields that all requests about coupons share."""

    customer: CustomerBody | None = None
    order: OrderBody | None = None
    validation_code: Annotated[Identifier | None, Field(repr=False)] = None

    def mistake(self) -> str | None:
        for part in (self.customer, self.order):
            if part is not None and (problem := part.mistake()):
                return problem
        return None

    @property
    def command_customer(self) -> Customer | None:
        """Convert to the customer of a command."""
        return None if self.customer is None else self.customer.to_domain()


class ValidateBody(AskedBody):
    """Coupons to validate, with the customer and the order. Nothing is changed."""

    codes: Codes
    atomic: Annotated[bool, Field(description="accept all codes or none; false: decide each on its own")] = True


class ExplainBody(AskedBody):
    """A code to explain, with the customer and the order."""

    code: TypedCode


class LockBody(AskedBody):
    """Codes to lock, one use each. A lock with the same reference is replaced."""

    codes: Codes
    lock_reference: Identifier | None = None
    lock_seconds: LockSeconds | None = None
    order_id: Annotated[Identifier | None, Field(description="binds the lock to this order")] = None
    shop_id: ShopId = None

    def mistake(self) -> str | None:
        if self.shop_id and self.order_id is None and self.order is None:
            return "shop_id: needs `order_id` or `order`; give one, or leave shop_id out."
        return shops_differ(self.shop_id, self.order) or super().mistake()

    @property
    def order_key(self) -> OrderKey | None:
        """Return the key of the order that the lock is bound to."""
        order_id = self.order_id or (None if self.order is None else self.order.order_id)
        return None if order_id is None else order_key(shop_of(self.shop_id, self.order), order_id)


class RedeemBody(AskedBody):
    """Coupons to redeem on an order: `codes`, and those that the lock holds."""

    codes: Annotated[tuple[TypedCode, ...], Field(max_length=MAX_CODES)] = ()
    lock_reference: Identifier | None = None
    atomic: Annotated[bool, Field(description="accept all codes or none; false: decide each on its own")] = True

    def mistake(self) -> str | None:
        if not self.codes and self.lock_reference is None:
            return "codes: `codes` or `lock_reference` is required."
        if self.order is None or self.order.order_id is None:
            return "order.order_id: is required to redeem coupons."
        return super().mistake()


class ChangeBody(AskedBody):
    """A whole order as it is now, with all codes that it names. `order_id` is in the path."""

    codes: Annotated[tuple[TypedCode, ...], Field(max_length=MAX_CODES)] = ()
    lock_reference: Identifier | None = None
    atomic: Annotated[bool, Field(description="accept all codes or none; false: decide each on its own")] = False
    changed_at: Moment | None = None

    def mistake(self) -> str | None:
        return "order: is required." if self.order is None else super().mistake()


class BurnBody(Body):
    """An order on which to redeem the coupons of a lock. Without `order`, the discount is the lock's."""

    order_id: Identifier
    order: OrderBody | None = None
    customer: CustomerBody | None = None
    validation_code: Annotated[Identifier | None, Field(repr=False)] = None
    shop_id: ShopId = None

    def mistake(self) -> str | None:
        if self.order is not None and self.order.order_id not in (None, self.order_id):
            return "order.order_id: differs from order_id; give only one of the two."
        if problem := shops_differ(self.shop_id, self.order):
            return problem
        for part in (self.customer, self.order):
            if part is not None and (problem := part.mistake()):
                return problem
        return None


class CancelBody(Body):
    """The cancellation of an order."""

    cancelled_at: Moment | None = None
    shop_id: ShopId = None


class PaymentFailedBody(Body):
    """A failed payment of an order."""

    failed_at: Moment | None = None
    shop_id: ShopId = None


class ReturnedLineBody(Body):
    """Returned units of a line."""

    line_id: Identifier
    quantity: Quantity


class ReturnBody(Body):
    """The return of an order: of `lines`, of goods worth `amount` at the order's own prices, of goods for which the
    customer got `refunded_amount` back after discounts, or of the whole order if all three are left out.
    """

    returned_at: Moment | None = None
    lines: Annotated[tuple[ReturnedLineBody, ...], Field(max_length=MAX_LINES)] | None = None
    amount: Amount | None = None
    refunded_amount: Amount | None = None
    return_id: Annotated[
        Identifier | None, Field(description="distinguishes two returns of the same goods at the same time")
    ] = None
    shop_id: ShopId = None


def shops_differ(shop_id: str | None, order: OrderBody | None) -> str | None:
    """Return a sentence if a body and its order name different shops, or None."""
    if shop_id and order is not None and order.shop_id and order.shop_id != shop_id:
        return "order.shop_id: differs from shop_id; give only one of the two."
    return None


def shop_of(shop_id: str | None, order: OrderBody | None) -> str | None:
    """Return the shop that a body or its order names."""
    return shop_id or (None if order is None else order.shop_id)


def body_of(model: type[BodyT], *, optional: bool = False) -> Callable[[Request], Awaitable[BodyT]]:
    """Return a dependency that parses the body as `model`. Raises a Problem (400, 415, 422).

    `optional`: a missing body counts as an empty object.
    """

    async def read(request: Request) -> BodyT:
        return read_body(model, request, await request.body(), optional=optional)

    return read


def read_body(model: type[BodyT], request: Request, content: bytes, *, optional: bool = False) -> BodyT:
    """Parse `content` as `model`. Raises a Problem (400, 415, 422)."""
    if not content.strip() and optional:
        content = b"{}"
    else:
        check_json(request)
        documents.check(content)
    try:
        body = parse(model, content)
        problem = body.mistake() if isinstance(body, Body) else None
    except InvalidDocumentError as error:
        raise invalid(error) from None
    if problem is not None:
        place, _, sentence = problem.partition(": ")
        errors = [{"place": place, "problem": sentence.rstrip(".")}]
        raise Problem(422, "invalid_request", problem, details={"errors": errors})
    return body


def check_json(request: Request) -> None:
    """Check that the Content-Type header names JSON. Raises a Problem (415)."""
    media_type = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise Problem(
            415, "unsupported_media_type", f"The body is {media_type or 'of no type'}; send JSON with the header "
            "Content-Type: application/json.",
        )  # fmt: skip


def invalid(error: InvalidDocumentError) -> Problem:
    """Return the problem for a body that can't be parsed, with the place of each error."""
    problems = error.problems()
    if any(one.kind == "json_invalid" for one in problems):
        return Problem(400, "invalid_json", str(error))
    errors = [{"place": _place(one.loc), "problem": one.expected} for one in problems[:MAX_ERRORS]]
    return Problem(422, "invalid_request", str(error), details={"errors": errors})


def _place(location: tuple[int | str, ...]) -> str:
    place = ""
    for part in location:
        place += f"[{part}]" if isinstance(part, int) else f".{part}" if place else str(part)
    return place


def order_problem(error: MoneyError, inside: str = "order") -> Problem:
    """Return the problem for an amount or quantity that is not valid. `inside` is the place of the order."""
    place = ".".join(filter(None, (inside, error.field)))
    details = {"errors": [{"place": place, "problem": error.sentence.rstrip(".")}]}
    return Problem(422, "invalid_request", f"{place}: {error.sentence}" if place else error.sentence, details=details)


def takes(model: type[BaseModel], *, optional: bool = False, example: Any = None) -> dict[str, Any]:
    """Return a route's `openapi_extra` that documents its body."""
    MODELS[model.__name__] = model
    content: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}
    if example is not None:
        content["example"] = example
    return {"requestBody": {"required": not optional, "content": {"application/json": content}}}


def moment(at: datetime | None) -> str | None:
    """Format a time as RFC 3339 in UTC."""
    return None if at is None else at.isoformat().replace("+00:00", "Z")
