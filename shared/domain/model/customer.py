"""Who somebody is: one person, however named."""

import re
from functools import lru_cache
from typing import Literal

import phonenumbers

from shared.domain.model.value import value

IdentifierKind = Literal["id", "email", "mobile"]
Identifier = tuple[IdentifierKind, str]
CustomerKey = str
"""The ledger's own name for a person (a UUID as text), whatever identifiers lead to them."""

# A number already in E.164 needs no parsing, and parsing costs more than deciding the whole order.
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@value
class Customer:
    """A customer as an event names them; every field but one may be missing. Values are kept as they came.

    `segments` None: the event doesn't say, and what is known from elsewhere counts.
    """

    customer_id: str | None = None
    email: str | None = None
    mobile: str | None = None
    segments: tuple[str, ...] | None = None


def identifiers(customer: Customer) -> tuple[Identifier, ...]:
    """The customer's identifiers, normalised, strongest first: id as is, e-mail trimmed and lower-cased, mobile E.164.

    A mobile number that no telephone network could have identifies nobody and is left out.
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
    """`number` in E.164 (`+919999988886`), or None where it is no possible telephone number.

    Numbers without a country prefix are read as numbers of `region` (ISO 3166 alpha-2); without one they can't be read.
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
