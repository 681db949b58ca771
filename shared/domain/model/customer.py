"""Customers and their identifiers.

`identifiers` is the one place that turns what people and systems write into identifiers that can be compared. Its rules
are a value, `IdentityRules`, which every service builds from its settings.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import unquote

import idna
import phonenumbers

from shared.domain.model.value import value

IdentifierKind = Literal["id", "email", "mobile"]
Identifier = tuple[IdentifierKind, str]
CustomerKey = str
"""The ledger's own id of a customer (a UUID string), the same for all of their identifiers."""

EmailPlus = Literal["distinct", "same"]

PLACEHOLDERS: Final = (
    "0", "-1", "-", "null", "(null)", "nil", "none", "undefined", "[object object]", "n/a", "guest", "anonymous",
    "00000000-0000-0000-0000-000000000000", "guest@", "anonymous@", "noreply@", "no-reply@", "donotreply@", "noemail@",
    "no-email@",
)  # fmt: skip
"""What systems send instead of a customer. None of these can be a customer's own: short numbers and names aren't here.
"""

MAX_EMAIL_BYTES: Final = 1_000
"""Some characters become eighteen when they are normalised, and the index takes 2,700 bytes."""

NUMBERS_REMEMBERED: Final = 32_768
"""Phone numbers whose E.164 form is kept, a few megabytes. Parsing one takes as long as deciding an order."""

_WRITTEN_AS_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_INTERNATIONAL_PREFIX: Final = re.compile(r"[\s+(]*00[\s()./-]*(?=[1-9])")
"""The international prefix of most countries. Without a region, no number begins with two zeros."""
_PLAIN_ADDRESS: Final = re.compile(r"([a-z0-9.!#$%&'*+/=?^_`{|}~-]+)@((?:[a-z0-9-]+\.)+[a-z0-9-]*[a-z0-9])")
_IN_BRACKETS: Final = re.compile(r"[^<>]*<([^<>]+)>")
_NOT_IN_ADDRESS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f<>,;]")


@value
class Customer:
    """A customer as an event names them, with at least one identifier. Values are kept unchanged.

    `segments` None: the event has none, and the recorded segments apply.
    """

    customer_id: str | None = None
    email: str | None = None
    mobile: str | None = None
    segments: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class IdentityRules:
    """The installation's rules for identifiers.

    `email_plus`: whether `ann+2@shop.example` is another address than `ann@shop.example`, or the same. `placeholders`
    name no one, in any case of letters: a customer id or a whole address, `guest@` (every address with this local
    part), `@shop.example` (every address of this domain), or a phone number in E.164.
    """

    email_plus: EmailPlus = "distinct"
    placeholders: frozenset[str] = frozenset(PLACEHOLDERS)
    parts_of_addresses: frozenset[str] = field(init=False, repr=False, compare=False)
    """local parts and domains that occur in placeholders: only addresses with one of them are compared further"""

    def __post_init__(self) -> None:
        parts = {part for one in self.placeholders if "@" in one for part in one.rpartition("@")[::2] if part}
        object.__setattr__(self, "parts_of_addresses", frozenset(parts))

    @classmethod
    def of(cls, email_plus: EmailPlus, placeholders: Iterable[str]) -> "IdentityRules":
        """Return the rules with placeholders as people write them: any case of letters, blanks around them."""
        written = (one.strip().lower() for one in placeholders)
        return cls(email_plus, frozenset(one for one in written if one))


DEFAULT_RULES: Final = IdentityRules()
NO_RULES: Final = IdentityRules(placeholders=frozenset())


def identifiers(customer: Customer, rules: IdentityRules = DEFAULT_RULES) -> tuple[Identifier, ...]:
    """Return the normalised identifiers, strongest first: the id trimmed, the email address, the mobile in E.164.

    Left out are placeholders, invalid phone numbers, and texts that aren't email addresses: they name no one.
    """
    found: list[Identifier] = []
    customer_id = _trimmed(customer.customer_id) if customer.customer_id else ""
    if (
        customer_id
        and customer_id.lower() not in rules.placeholders
        and not _is_placeholder_address(customer_id, rules)
    ):
        found.append(("id", customer_id))
    if customer.email and (email := email_address(customer.email, rules)) is not None:
        found.append(("email", email))
    if customer.mobile and (mobile := e164(customer.mobile)) is not None and mobile not in rules.placeholders:
        found.append(("mobile", mobile))
    return tuple(found)


def _is_placeholder_address(customer_id: str, rules: IdentityRules) -> bool:
    """Return whether a customer id is an email address that names no one, as some systems send for every guest."""
    if "@" not in customer_id or not rules.parts_of_addresses:
        return False
    return email_address(customer_id, rules) is None and email_address(customer_id, NO_RULES) is not None


def former_identifiers(
    customer: Customer, names: Iterable[Identifier], rules: IdentityRules = DEFAULT_RULES
) -> tuple[Identifier, ...]:
    """Return the forms in which earlier versions, or another `email_plus`, may have stored the customer's `names`.

    Empty for nearly every customer. `couponry customers normalise` adds the current form to those that are stored.
    """
    found: list[Identifier] = []
    for kind, current in names:
        if kind == "email" and customer.email is not None and customer.email != current:
            written = customer.email.strip().lower()
            if written != current:
                found += [("email", one) for one in _former_addresses(customer.email, written, current, rules)]
        elif kind == "mobile" and customer.mobile is not None and customer.mobile != current:
            written = customer.mobile.strip()
            if written != current and _WRITTEN_AS_E164.fullmatch(written):
                found.append(("mobile", written))
    return tuple(found)


def _former_addresses(text: str, written: str, current: str, rules: IdentityRules) -> Iterable[str]:
    distinct = written
    if rules.email_plus == "same":
        distinct = email_address(text, IdentityRules("distinct", rules.placeholders)) or written
    return [one for one in dict.fromkeys((written, distinct)) if one != current and "\0" not in one]


def possible_identifiers(text: str, rules: IdentityRules = DEFAULT_RULES) -> tuple[Identifier, ...]:
    """Return what a text that names a customer may be: a customer id first, then an email address or phone number.

    For look-ups, so forms that earlier versions stored and placeholders are included. `id:` before the value makes it
    an id; `email:` and `mobile:` are left out.
    """
    text = _trimmed(text)
    kind, separator, value = text.partition(":")
    if separator and kind == "id":
        return (("id", value.strip()),) if value.strip() else ()
    named = value.strip() if separator and kind in ("email", "mobile") else text
    found: list[Identifier] = [("id", text)] if text else []
    if "@" in named or not named.isascii():
        addresses = (named.lower(), email_address(named, NO_RULES), email_address(named, _no_placeholders(rules)))
        found += [("email", one) for one in dict.fromkeys(addresses) if one is not None and "@" in one]
    if _WRITTEN_AS_E164.fullmatch(named):
        found.append(("mobile", named))
    if (mobile := e164(named)) is not None and mobile != named:
        found.append(("mobile", mobile))
    return tuple(found)


def _no_placeholders(rules: IdentityRules) -> IdentityRules:
    return NO_RULES if rules.email_plus == "distinct" else IdentityRules(rules.email_plus, frozenset())


def completed(
    customer: Customer | None, known: Mapping[IdentifierKind, str], rules: IdentityRules = DEFAULT_RULES
) -> Customer:
    """Return `customer` with what the ledger knows in place of values that are missing or name no one.

    Values that the customer has stay as they are written, and come before known ones.
    """
    if customer is None:
        return Customer(known.get("id"), known.get("email"), known.get("mobile"))
    usable = {kind for kind, _ in identifiers(customer, rules)}
    return Customer(
        customer.customer_id if "id" in usable else known.get("id"),
        customer.email if "email" in usable else known.get("email"),
        customer.mobile if "mobile" in usable else known.get("mobile"),
        customer.segments,
    )


def email_address(text: str, rules: IdentityRules = DEFAULT_RULES) -> str | None:
    """Return an email address in the form in which addresses are compared; None if it names no one.

    Lower case, without blanks around it or invisible characters, Unicode in NFKC, the domain in ASCII (IDNA). Both
    `Ann <ann@shop.example>` and `mailto:ann@shop.example` are `ann@shop.example`.
    """
    written = text.strip().lower()
    plain = _PLAIN_ADDRESS.fullmatch(written)
    if plain is not None:  # as nearly always
        local, domain = plain.groups()
    else:
        parts = _address_parts(text)
        if parts is None:
            return None
        local, domain = parts
        written = f"{local}@{domain}"
    if rules.email_plus == "same" and "+" in local[1:]:
        local = local[0] + local[1:].partition("+")[0]
        written = f"{local}@{domain}"
    if local in rules.parts_of_addresses or domain in rules.parts_of_addresses:
        return None if {written, f"{local}@", f"@{domain}"} & rules.placeholders else written
    return written


@lru_cache(maxsize=1_024)
def _address_parts(text: str) -> tuple[str, str] | None:
    """Return local part and domain of an address that isn't written plainly; None if it isn't an address."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _visible(text)).lower()).strip()
    if in_brackets := _IN_BRACKETS.fullmatch(text):
        text = in_brackets[1].strip()
    if text.startswith("mailto:"):
        text = unquote(text.removeprefix("mailto:").partition("?")[0]).lower()
    local, _, domain = text.rpartition("@")
    local, domain = local.strip(), domain.strip().rstrip(".")
    if not local or not domain or _NOT_IN_ADDRESS.search(domain):
        return None
    is_quoted = len(local) > 2 and local[0] == local[-1] == '"' and local.isprintable()
    if _NOT_IN_ADDRESS.search(local) and not is_quoted:
        return None
    try:
        if not domain.isascii():
            domain = idna.encode(domain, uts46=True).decode("ascii")
        return (local, domain) if len(local.encode()) + len(domain) < MAX_EMAIL_BYTES else None
    except UnicodeError:  # not a domain, or half a surrogate pair
        return None


@lru_cache(maxsize=NUMBERS_REMEMBERED)
def e164(number: str, region: str | None = None) -> str | None:
    """Return `number` in E.164 (`+919999988886`), or None if it is not a valid telephone number.

    Numbers without a country prefix (`+44` or `0044`) are read as numbers of `region` (ISO 3166 alpha-2); without one
    the result is None. An extension isn't part of the number.
    """
    text = number if number.isascii() else _with_ascii_digits(_visible(number))
    found = _valid(text, region)
    if found is None and (prefix := _INTERNATIONAL_PREFIX.match(text)) is not None:
        found = _valid(f"+{text[prefix.end() :]}", region)
    return found


def _valid(text: str, region: str | None) -> str | None:
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(parsed):
        return None
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _trimmed(text: str) -> str:
    """Return `text` without blanks around it, and without invisible characters there."""
    text = text.strip()
    if text.isascii():
        return text
    while text and (unicodedata.category(text[0]) == "Cf" or text[0].isspace()):
        text = text[1:]
    while text and (unicodedata.category(text[-1]) == "Cf" or text[-1].isspace()):
        text = text[:-1]
    return text


def _visible(text: str) -> str:
    """Return `text` without invisible characters: zero-width ones, byte order marks, direction marks."""
    return text if text.isascii() else "".join(one for one in text if unicodedata.category(one) != "Cf")


def _with_ascii_digits(text: str) -> str:
    return "".join(str(unicodedata.decimal(one)) if one.isdecimal() else one for one in text)
