"""Find a customer's names in documents and other text, and replace them by a pseudonym.

Used by erasure (GDPR Art. 17) and export (Art. 15). A document is parsed JSON.
"""

import json
import re
import string
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

import idna

from shared.domain.model.customer import (
    DEFAULT_RULES,
    NO_RULES,
    Customer,
    Identifier,
    IdentityRules,
    e164,
    email_address,
    former_identifiers,
    identifiers,
)

MOBILE_DIGITS: Final = 7
"""Final digits of a phone number that are compared, since it may be written without country or trunk prefix."""

DISTINCTIVE_LENGTH: Final = 6
"""Customer ids with at least this many characters that aren't all digits are searched in any text. A shorter id ("7")
is only recognised in fields that name a customer: elsewhere it is more likely a quantity or another number."""

MAX_DEPTH: Final = 40
"""Levels of a document that are checked field by field."""

REFERENCES: Final = frozenset(
    {
        "campaign_id", "caused_by", "coupon_id", "currency", "event_id", "kind", "line_id", "lock_reference",
        "order_id", "outcome", "product_id", "reason", "redemption_id", "shop_id", "type", "variant_id",
    }
)  # fmt: skip
"""Fields with ids. Readers join them with their own rows, so an erasure never changes them. A `reason` may also be a
sentence of a person, which is cleaned."""

_CODE: Final = re.compile(r"[a-z0-9_.]*")
"""The form of the reasons that Couponry writes, such as `already_redeemed`."""

_ASCII_LOWER: Final = {ord(letter): letter.lower() for letter in string.ascii_uppercase}
_CONTACT_FIELDS: Final = ("customer_id", "email", "mobile")
_NAMES_CUSTOMER: Final = re.compile(
    r"customer|user|holder|member|source_?id|external_?id|referr|identifier", re.IGNORECASE
)
_NAMES_PHONE: Final = re.compile(r"mobile|phone|tel", re.IGNORECASE)
_BOUNDARIES: Final[Mapping[str, tuple[str, str]]] = {
    "id": (r"(?<![\w\-.@])", r"(?![\w\-@]|\.\w)"),
    "email": (r"(?<![\w.%+\-])", r"(?![\w\-]|\.\w)"),
    "mobile": (r"(?<!\w)", r"(?!\d)"),
}
"""Characters that may not precede or follow a name: `ann@example.com` isn't in `joann@example.com` or
`ann@example.com.au`."""


def pseudonym_text(pseudonym: str) -> str:
    """Return the text that replaces the names of an erased customer."""
    return f"erased-{pseudonym}"


class Traces:
    """The names of a customer, with methods to find and replace them.

    Matching ignores case. In texts, email addresses, phone numbers in E.164 and distinctive customer ids are matched
    as whole words, so that names of others don't change. `rules` normalise the identifiers in documents.
    """

    def __init__(self, names: Iterable[Identifier], pseudonym: str, rules: IdentityRules = DEFAULT_RULES) -> None:
        self._rules = rules
        self._names = frozenset(form for name in names for form in _forms(name))
        self._replacement = pseudonym_text(pseudonym)
        self._mobiles = [value[1:] for kind, value in self._names if kind == "mobile"]
        self._ids = frozenset(value.lower() for kind, value in self._names if kind == "id")
        self._searched = [
            (_folded(_part_to_find(kind, value, rules)), _whole(kind, value, rules))
            for kind, value in sorted(self._names)
            if kind != "id" or _distinctive(value)
        ]

    def like_patterns(self) -> list[str]:
        """Return patterns for `lower(text) LIKE ANY`. A text that matches none of them doesn't name the customer.

        Phone numbers are in `phone_patterns`.
        """
        found: set[str] = set()
        for kind, value in self._names:
            if kind == "mobile":
                continue
            for written in {json.dumps(value, ensure_ascii=False), json.dumps(value)}:
                # A database lower-cases letters outside ASCII only in some locales.
                for lower in {written.lower(), written.translate(_ASCII_LOWER)}:
                    pattern = _escaped(lower[1:-1])
                    if _has_plus_forms(kind, self._rules):
                        pattern = "%@".join(pattern.rsplit("@", 1))
                    found.add(f"%{pattern}%")
        return sorted(found)

    def phone_patterns(self) -> list[str]:
        """Return regular expressions for `text ~ ANY`: the last digits of the phone numbers, with anything between."""
        return sorted("[^0-9]*".join(value[1:][-MOBILE_DIGITS:]) for kind, value in self._names if kind == "mobile")

    def is_customer(self, customer: object) -> bool:
        """Return whether a document `{customer_id, email, mobile}` names the customer."""
        if not isinstance(customer, Mapping):
            return False
        values = [customer.get(field) for field in _CONTACT_FIELDS]
        customer_id, email, mobile = [value if isinstance(value, str) else None for value in values]
        named = Customer(customer_id, email, mobile)
        found = identifiers(named, self._rules)
        return not self._names.isdisjoint((*found, *former_identifiers(named, found, self._rules)))

    def mentioned_in(self, document: Any) -> bool:
        """Return whether `document` names the customer anywhere."""
        return bool(self.cleaned(document) != document)

    def is_named_in(self, text: str) -> bool:
        """Return whether `text`, JSON or not, names the customer."""
        try:
            return self.mentioned_in(json.loads(text))
        except ValueError:
            return self.mentioned_in(text)

    def cleaned_event(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event's data without the customer. Their own events lose metadata and the text of a reason."""
        if self.is_customer(data.get("customer")):
            data = {
                name: None if name == "reason" and not _is_reference(name, value) else value
                for name, value in data.items()
                if name != "metadata"
            }
        cleaned: dict[str, Any] = self.cleaned(data)
        return cleaned

    def cleaned(self, document: Any, field: str = "", depth: int = 0) -> Any:
        """Return `document` with the customer replaced by the pseudonym. `field` is the name of the document's field.

        Values deeper than MAX_DEPTH are replaced completely if they name the customer.
        """
        if isinstance(document, Mapping | list | tuple) and depth > MAX_DEPTH:
            text = json.dumps(document, ensure_ascii=False)
            return document if self.cleaned_text(text) == text else self._replacement
        if isinstance(document, Mapping):
            if self.is_customer(document):
                return {
                    name: self._anonymous(name, value, depth) for name, value in document.items() if name != "segments"
                }
            return {
                name: value if _is_reference(name, value) else self.cleaned(value, name, depth + 1)
                for name, value in document.items()
            }
        if isinstance(document, list | tuple):
            return [self.cleaned(item, field, depth + 1) for item in document]
        return self.cleaned_text(document, field) if isinstance(document, str) else document

    def cleaned_text(self, text: str, field: str = "") -> str:
        """Return `text` with the customer replaced by the pseudonym."""
        if _is_reference(field, text):
            return text
        if _NAMES_CUSTOMER.search(field) and text.strip().lower() in self._ids:
            return self._replacement
        if self._mobiles and _NAMES_PHONE.search(field) and self._is_number(text):
            return self._replacement
        # Searching plain texts first is a hundred times faster than one pattern of all names.
        folded = _folded(text)
        parts = [pattern for name, pattern in self._searched if name in folded]
        return re.sub("|".join(parts), self._replacement, text, flags=re.IGNORECASE) if parts else text

    def _is_number(self, text: str) -> bool:
        """Return whether a phone number, possibly without its country, is the customer's."""
        digits = re.sub(r"[^0-9]", "", text).lstrip("0")
        return len(digits) >= MOBILE_DIGITS and any(mobile.endswith(digits) for mobile in self._mobiles)

    def _anonymous(self, field: str, value: Any, depth: int) -> Any:
        if field == "customer_id":
            return self._replacement
        return None if field in _CONTACT_FIELDS else self.cleaned(value, field, depth + 1)


def _is_reference(field: str, value: Any) -> bool:
    """Return whether the field has an id, which is kept."""
    if field not in REFERENCES:
        return False
    return field != "reason" or not isinstance(value, str) or _CODE.fullmatch(value) is not None


def _distinctive(customer_id: str) -> bool:
    return len(customer_id) >= DISTINCTIVE_LENGTH and not customer_id.isdigit()


_LETTERS_I: Final = {0x130: "i", 0x131: "i"}
"""I with a dot and i without one: case-insensitive patterns match both as i."""


def _folded(text: str) -> str:
    """Return `text` in a form in which texts are equal if a case-insensitive pattern matches them."""
    return text.lower() if text.isascii() else text.translate(_LETTERS_I).casefold()


def _forms(name: Identifier) -> Iterable[Identifier]:
    """Return a stored identifier, its current form if an earlier version stored it, and its domain in Unicode."""
    kind, value = name
    forms = [value]
    if kind == "mobile":
        forms.append(e164(value) or value)
    elif kind == "email":
        forms.append(email_address(value, NO_RULES) or value)
        local, _, domain = forms[-1].rpartition("@")
        with suppress(UnicodeError):
            forms.append(f"{local}@{idna.decode(domain)}" if "xn--" in domain else value)
    return [(kind, form) for form in forms]


def _has_plus_forms(kind: str, rules: IdentityRules) -> bool:
    return kind == "email" and rules.email_plus == "same"


def _part_to_find(kind: str, value: str, rules: IdentityRules) -> str:
    """Return a part of the identifier that is in every form of it."""
    return f"@{value.rpartition('@')[2]}" if _has_plus_forms(kind, rules) else value


def _whole(kind: str, value: str, rules: IdentityRules) -> str:
    before, after = _BOUNDARIES[kind]
    escaped = re.escape(value)
    if _has_plus_forms(kind, rules):
        local, _, domain = value.rpartition("@")
        escaped = rf"{re.escape(local)}(?:\+[\w.+\-]*)?@{re.escape(domain)}"
    return f"{before}{escaped}{after}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
