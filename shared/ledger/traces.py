"""Find a person in documents and texts, and replace them by a pseudonym.

Used by erasure (GDPR Art. 17) and export (Art. 15). A document is parsed JSON.
"""

import json
import re
import string
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.domain.model.customer import Customer, Identifier, identifiers

MOBILE_DIGITS: Final = 7
"""A phone number may be written with or without country and trunk prefix; its last digits are always there."""

DISTINCTIVE_LENGTH: Final = 6
"""Customer ids of at least so many characters, not digits alone, are looked for in any text. A shorter one ("7") is
only recognised where a field names a customer: elsewhere it is more likely a quantity or somebody else's number."""

MOST_DEPTH: Final = 40
"""Of a document that is looked at field by field."""

REFERENCES: Final = frozenset(
    {
        "campaign_id", "caused_by", "coupon_id", "currency", "event_id", "kind", "line_id", "lock_reference",
        "order_id", "outcome", "product_id", "reason", "redemption_id", "type", "variant_id",
    }
)  # fmt: skip
"""Fields that name things. Readers match them with rows of their own, so an erasure never changes them."""

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
"""What may not stand before and after a name: `ann@example.com` is neither in `joann@example.com` nor in
`ann@example.com.au`."""


def pseudonym_text(pseudonym: str) -> str:
    """Return the text that stands where an erased person was named."""
    return f"erased-{pseudonym}"


class Traces:
    """What a person is named by, and how to recognise it.

    Matching ignores case. In texts, e-mail addresses, phone numbers in E.164 and distinctive customer ids are found as
    whole words, so nobody else's name is touched.
    """

    def __init__(self, names: Iterable[Identifier], pseudonym: str) -> None:
        self._names = frozenset(names)
        self._replacement = pseudonym_text(pseudonym)
        self._mobiles = [value[1:] for kind, value in self._names if kind == "mobile"]
        self._ids = frozenset(value.lower() for kind, value in self._names if kind == "id")
        self._searched = [
            (_folded(value), _whole(kind, value))
            for kind, value in sorted(self._names)
            if kind != "id" or _distinctive(value)
        ]

    def like_patterns(self) -> list[str]:
        """Return patterns for `lower(text) LIKE ANY`: a text that matches none of them doesn't name the person.

        Phone numbers are left to `digit_patterns`.
        """
        found: set[str] = set()
        for kind, value in self._names:
            if kind == "mobile":
                continue
            for written in {json.dumps(value, ensure_ascii=False), json.dumps(value)}:
                # Whether a database lower-cases letters beyond ASCII depends on its locale.
                for lower in {written.lower(), written.translate(_ASCII_LOWER)}:
                    found.add(f"%{_escaped(lower[1:-1])}%")
        return sorted(found)

    def digit_patterns(self) -> list[str]:
        """Return patterns for LIKE on a text's digits alone."""
        return sorted(f"%{value[1:][-MOBILE_DIGITS:]}%" for kind, value in self._names if kind == "mobile")

    def is_person(self, customer: object) -> bool:
        """Return whether a document `{customer_id, email, mobile}` names the person."""
        if not isinstance(customer, Mapping):
            return False
        told = [customer.get(field) for field in _CONTACT_FIELDS]
        customer_id, email, mobile = [one if isinstance(one, str) else None for one in told]
        return not self._names.isdisjoint(identifiers(Customer(customer_id, email, mobile)))

    def mentioned_in(self, document: Any) -> bool:
        """Return whether `document` names the person anywhere."""
        return bool(self.cleaned(document) != document)

    def written_in(self, text: str) -> bool:
        """Return whether `text`, JSON or not, names the person."""
        try:
            return self.mentioned_in(json.loads(text))
        except ValueError:
            return self.mentioned_in(text)

    def cleaned_event(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Return an event's data without the person. An event of theirs loses its metadata as well."""
        theirs = self.is_person(data.get("customer"))
        cleaned: dict[str, Any] = self.cleaned(
            {name: value for name, value in data.items() if not (theirs and name == "metadata")}
        )
        return cleaned

    def cleaned(self, document: Any, field: str = "", depth: int = 0) -> Any:
        """Return `document` with the person replaced by the pseudonym. `field` is what the document stands under.

        What lies deeper than MOST_DEPTH is replaced as a whole where it names the person.
        """
        if isinstance(document, Mapping | list | tuple) and depth > MOST_DEPTH:
            text = json.dumps(document, ensure_ascii=False)
            return document if self.cleaned_text(text) == text else self._replacement
        if isinstance(document, Mapping):
            if self.is_person(document):
                return {
                    name: self._anonymous(name, value, depth) for name, value in document.items() if name != "segments"
                }
            return {
                name: value if name in REFERENCES else self.cleaned(value, name, depth + 1)
                for name, value in document.items()
            }
        if isinstance(document, list | tuple):
            return [self.cleaned(one, field, depth + 1) for one in document]
        return self.cleaned_text(document, field) if isinstance(document, str) else document

    def cleaned_text(self, text: str, field: str = "") -> str:
        """Return `text` with the person replaced by the pseudonym."""
        if field in REFERENCES:
            return text
        if _NAMES_CUSTOMER.search(field) and text.strip().lower() in self._ids:
            return self._replacement
        if self._mobiles and _NAMES_PHONE.search(field) and self._is_number(text):
            return self._replacement
        # Looking for plain texts first is a hundred times as fast as one pattern of all names.
        folded = _folded(text)
        parts = [pattern for name, pattern in self._searched if name in folded]
        return re.sub("|".join(parts), self._replacement, text, flags=re.IGNORECASE) if parts else text

    def _is_number(self, text: str) -> bool:
        """Return whether a phone number, maybe without its country, is the person's."""
        digits = re.sub(r"[^0-9]", "", text).lstrip("0")
        return len(digits) >= MOBILE_DIGITS and any(mobile.endswith(digits) for mobile in self._mobiles)

    def _anonymous(self, field: str, value: Any, depth: int) -> Any:
        if field == "customer_id":
            return self._replacement
        return None if field in _CONTACT_FIELDS else self.cleaned(value, field, depth + 1)


def _distinctive(customer_id: str) -> bool:
    return len(customer_id) >= DISTINCTIVE_LENGTH and not customer_id.isdigit()


_LETTERS_I: Final = {0x130: "i", 0x131: "i"}
"""I with a dot, i without: patterns take both for i."""


def _folded(text: str) -> str:
    """Return `text` so that whatever a pattern matches without regard to case is equal."""
    return text.lower() if text.isascii() else text.translate(_LETTERS_I).casefold()


def _whole(kind: str, value: str) -> str:
    before, after = _BOUNDARIES[kind]
    return f"{before}{re.escape(value)}{after}"


def _escaped(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
