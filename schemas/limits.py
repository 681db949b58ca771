"""The limits of everything that comes in, in one place, each with its reason.

The same numbers hold for Kafka, HTTP, every facade, campaign files and the command line. What is within them can be
stored, read back, published and notified: no index row, 64-bit column, date of the database or record of the broker
overflows. `tests/integration/test_index_rows.py` holds the text limits against the indexes of the migrations.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Final

# --- Texts. PostgreSQL indexes at most 2,704 bytes a row (a third of a page), whatever the number of columns.

MAX_ID_LENGTH: Final = 255
"""Longest identifier, in characters. That is at most 1,020 bytes in UTF-8, so that two of them fit one index row."""

MAX_ID_BYTES: Final = 4 * MAX_ID_LENGTH
"""Longest identifier, in bytes of UTF-8: no character has more than four, so the length in characters is enough."""

MAX_KEY_BYTES: Final = 6 * MAX_ID_LENGTH
"""Longest code as it is compared. Upper case can be longer: ΐ, two bytes, becomes three characters of two bytes."""

MAX_ATTRIBUTE_LENGTH: Final = 255
"""Longest CloudEvents attribute, in characters."""

MAX_ATTRIBUTE_BYTES: Final = 765
"""Longest CloudEvents attribute, in bytes of UTF-8, three a character.

`<source> <id>` names a command, and `external_requests` indexes it together with a campaign's id:
twice 765, 1,020 and 20 bytes more are below 2,704; with four bytes a character they would not be.
"""

MAX_TEXT_LENGTH: Final = 2_000
"""Longest free text, in characters: a sentence for people, not a document. Never indexed."""

MAX_EXPRESSION_LENGTH: Final = 1_000
"""Longest condition in CEL, in characters."""

MAX_URL_LENGTH: Final = 2_000
"""Longest address of an external source, in characters: what servers and proxies take."""

# --- Lists.

MAX_CODES: Final = 100
"""Most coupon codes in one order: nobody types more, and each costs the ledger a locked row."""

MAX_LINES: Final = 10_000
"""Most lines in one order: above what wholesale orders reach, and about what fits Kafka's default record of 1 MB."""

MAX_LIST_LENGTH: Final = 1_000
"""Most entries in any other list or map (segments, collections, metadata)."""

MAX_MATCH_FIELDS: Final = 20
"""Most fields that one `issues_on` rule matches: no event has as many of its own."""

MAX_SOURCE_HEADERS: Final = 50
"""Most headers that an external source is sent: common servers take 100 with their own."""

# --- Numbers. PostgreSQL's bigint, Avro's long and most readers of JSON hold 64 bits with a sign.

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1

MAX_QUANTITY: Final = 1_000_000
"""Most units in one line: times any price that an order of 18 digits can have, it is still judged exactly."""

MAX_CYCLE: Final = 1_000_000
"""Most payments of one subscription: one a minute for two years."""

# --- Time.

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Earliest moment. Before it lie unset times (year 1), which no time zone can show."""

LATEST: Final = datetime(8999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""Latest moment: a thousand years before the calendar of Python ends.

The end itself, 9999-12-31T23:59:59.999999Z, is PostgreSQL's `infinity` to the driver and comes back without a zone;
rounding up, another time zone, or a coupon's validity of up to 100 years lead beyond it. From here none of them does.
"""

CALENDAR_END: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The last moment that can be written at all. What Couponry wrote before there was LATEST may go up to it."""

# --- Documents that are handed on (metadata, a custom discount's payload) and whole events.

MAX_DEPTH: Final = 20
"""Deepest nesting of a document; the document itself is 1. Readers of JSON give up between 64 and 1,000."""

MAX_METADATA_BYTES: Final = 16_384
"""Largest metadata of an order, a line, a redemption, a reward, a sign-up or a campaign, as compact JSON in UTF-8."""

MAX_PAYLOAD_BYTES: Final = 4_096
"""Largest `discount.payload`, as compact JSON in UTF-8.

An order of 100 coupons carries 100 of them in one event: with codes and ids of full length they make 660,000 bytes,
which is below what a broker takes (1,048,588 bytes).
"""

MAX_DOCUMENT_BYTES: Final = 2_097_152
"""Largest event or HTTP body as it comes in: 2 MiB, an order of 10,000 lines with room to spare."""

MAX_WRITTEN_BYTES: Final = 900_000
"""Largest `data` of an event that Couponry writes: what a broker takes by default, less key and headers (6,000 bytes
at most) and room for a batch's own.
"""

CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""What no identifier holds: CloudEvents forbids them in attributes, and terminals and logs obey them."""

NO_CONTROL_CHARACTERS: Final = (
    "must have no control characters (line breaks, tabs, U+0000 to U+001F, U+007F to U+009F); remove them"
)


def identifier_problem(text: str) -> str | None:
    """Return what is wrong with an identifier, a sentence without its subject, or None.

    For what is no field of a model: path parameters, arguments of the command line.
    """
    if not text.strip():
        return "must not be blank"
    if len(text) > MAX_ID_LENGTH:
        return f"must have at most {MAX_ID_LENGTH} characters"
    return NO_CONTROL_CHARACTERS if CONTROL_CHARACTERS.search(text) else None


def check_metadata(document: Any) -> None:
    """Raise ValueError, a sentence without its subject, for metadata that can't be handed on."""
    check_document(document, MAX_METADATA_BYTES)


def check_payload(document: Any) -> None:
    """Raise ValueError, a sentence without its subject, for a discount's payload that can't be handed on."""
    check_document(document, MAX_PAYLOAD_BYTES)


def check_document(document: Any, max_bytes: int) -> None:
    """Raise ValueError, a sentence without its subject, for a JSON document that some reader could not read.

    Looks at nesting, integers beyond 64 bits, NaN and Infinity, the length of names, NUL, lone surrogates, and the size
    as compact JSON in UTF-8. Without recursion, so that no depth is too deep to be judged.
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for node in level for inner in _members(node)]
        if not level:
            break
    else:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} levels; make it flatter, or write inner parts as texts")
    try:
        size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is no character; remove it") from None
    if size > max_bytes:
        raise ValueError(f"has {size:,} bytes as JSON; it must have at most {max_bytes:,}")


def check_numbers(document: Any) -> None:
    """Raise ValueError, a sentence without its subject, for a number beyond 64 bits in what PostgreSQL keeps as jsonb.

    It writes 1e300 out, as an integer of 301 digits, which few can read. Call it after `check_document`, which bounds
    the depth.
    """
    if isinstance(document, float) and not MIN_INTEGER <= document <= MAX_INTEGER:
        raise ValueError("holds a number beyond 64 bits, which few can read; write it as a text")
    if isinstance(document, dict | list | tuple):
        for member in document.values() if isinstance(document, dict) else document:
            check_numbers(member)


def _members(node: Any) -> list[Any]:
    """What stands in an object or a list, of which the objects and lists are to be looked into; else nothing."""
    if isinstance(node, dict):
        for name in node:
            if len(name) > MAX_ID_LENGTH:
                raise ValueError(f"holds a name of {len(name):,} characters; names have at most {MAX_ID_LENGTH}")
            _check_text(name)
        members = list(node.values())
    elif isinstance(node, list | tuple):
        members = list(node)
    else:
        _check_scalar(node)
        return []
    for member in members:
        if not isinstance(member, dict | list | tuple):
            _check_scalar(member)
    return [member for member in members if isinstance(member, dict | list | tuple)]


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        _check_text(value)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError("holds NaN or Infinity, which are no JSON; leave them out")
    elif isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("holds an integer of more than 64 bits, which few can read; write it as a text")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("holds the character NUL (\\u0000), which no database can store; remove it")
