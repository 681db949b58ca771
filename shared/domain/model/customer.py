"""Customers and their identifiers."""

import re
from functools import lru_cache
from typing import Literal

import phonenumbers

from shared.domain.model.value import value

IdentifierKind = Literal["id", "email", "mobile"]
Identifier = tuple[IdentifierKind, str]
CustomerKey = str
"""The ledger's own id of a customer (a UUID string), the same for all of their identifiers."""

# A number already in E.164 needs no parsing, and parsing costs more than deciding the whole order.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@value
class Customer:
    """A customer as an event names them, with at least one identifier. Values are kept unchanged.

    `segments` None: the event has none, and the recorded segments apply.
    """

    customer_id: str | None = None
    email: str | None = None
    mobile: str | None = None
    segments: tuple[str, ...] | None = None


def identifiers(customer: Customer) -> tuple[Identifier, ...]:
    """Return the normalised identifiers, strongest first: id as is, email trimmed and lower-cased, mobile in E.164.

    An impossible mobile number is left out.
    """
    found: list[Identifier] = []
    if customer.customer_id and (customer_id := customer.customer_id.strip()):
        found.append(("id", customer_id))
    if customer.email and (email := customer.email.strip().lower()):
        found.append(("email", email))
    if customer.mobile:
        mobile = customer.mobile if _E164.fullmatch(customer.mobile) else e164(customer.mobile)
        if mobile is not None:
            found.append(("mobile", mobile))
    return tuple(found)


@lru_cache(maxsize=4096)
def e164(number: str, region: str | None = None) -> str | None:
    """Return `number` in E.164 (`+919999988886`), or None if it is not a possible telephone number.

    Numbers without a country prefix are read as numbers of `region` (ISO 3166 alpha-2); without one the result is None.
    """
    text = number.strip()
    if _E164.fullmatch(text):
        return text
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
