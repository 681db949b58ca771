"""The limits of all input, each with its reason.

They apply to Kafka, HTTP, every facade, campaign files and the command line. Input within them can be stored, read
back, published and notified: it fits index rows, 64-bit columns, the database's dates and the broker's records.
`tests/integration/test_index_rows.py` checks the text limits against the indexes of the migrations.
"""

import json
import math
import re
from datetime import UTC, datetime
from typing import Any, Final

# --- Texts. PostgreSQL indexes at most 2,704 bytes per row (a third of a page), for any number of columns.

MAX_ID_LENGTH: Final = 255
"""The longest identifier, in characters: at most 1,020 bytes in UTF-8, so two of them fit into one index row."""

MAX_ID_BYTES: Final = 4 * MAX_ID_LENGTH
"""The longest identifier, in bytes of UTF-8. No character has more than four bytes, so the limit above is enough."""

MAX_KEY_BYTES: Final = 6 * MAX_ID_LENGTH
"""The longest key of a code, in bytes: it can be longer than the code, and `code_key` cuts it at 380 characters."""

MAX_ATTRIBUTE_LENGTH: Final = 255
"""The longest CloudEvents attribute, in characters."""

MAX_ATTRIBUTE_BYTES: Final = 765
"""The longest CloudEvents attribute, in bytes of UTF-8: three bytes per character.

`<source> <id>` is a command's id, which `external_requests` indexes together with a campaign's id:
twice 765, 1,020 and 20 more bytes are below 2,704; with four bytes per character they would not be.
"""

MAX_TEXT_LENGTH: Final = 2_000
"""The longest free text, in characters. Never indexed."""

MAX_EXPRESSION_LENGTH: Final = 1_000
"""The longest condition in CEL, in characters."""

MAX_URL_LENGTH: Final = 2_000
"""The longest URL of an external source, in characters: common servers and proxies accept this."""

# --- Lists.

MAX_CODES: Final = 100
"""The most coupon codes in one order. Customers don't type more, and each locks a row of the ledger."""

MAX_LINES: Final = 10_000
"""The most lines in one order: more than wholesale orders have, and about the size of Kafka's default record (1 MB)."""

MAX_LIST_LENGTH: Final = 1_000
"""The most entries in any other list or map (segments, collections, metadata)."""

MAX_MATCH_FIELDS: Final = 20
"""The most fields that one `issues_on` rule matches. No event has as many of its own."""

MAX_SOURCE_HEADERS: Final = 50
"""The most headers sent to an external source. Common servers accept 100 in total."""

# --- Numbers. PostgreSQL's bigint, Avro's long and most JSON readers hold signed 64-bit integers.

MIN_INTEGER: Final = -(2**63)
MAX_INTEGER: Final = 2**63 - 1

MAX_QUANTITY: Final = 1_000_000
"""The most units in one line. Multiplied by any price of an order of 18 digits, the result is still exact."""

MAX_CYCLE: Final = 1_000_000
"""The most payments of one subscription: one per minute for two years."""

# --- Time.

EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest time. Unset times (year 1) are before it, and can't be shown in every time zone."""

LATEST: Final = datetime(8999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The latest time: a thousand years before Python's calendar ends.

The driver reads the end itself, 9999-12-31T23:59:59.999999Z, as PostgreSQL's `infinity` and returns it without a zone.
Rounding up, another time zone, or a coupon's validity of up to 100 years would exceed it; from LATEST none does.
"""

CALENDAR_END: Final = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
"""The last time that can be written at all. Data that Couponry wrote before LATEST existed may reach it."""

# --- Documents that are passed on (metadata, a custom discount's payload) and whole events.

MAX_DEPTH: Final = 20
"""The deepest nesting of a document; the document itself is level 1. JSON readers fail between 64 and 1,000 levels."""

MAX_METADATA_BYTES: Final = 16_384
"""The largest metadata of an order, line, redemption, reward, sign-up or campaign, as compact JSON in UTF-8."""

MAX_PAYLOAD_BYTES: Final = 4_096
"""The largest `discount.payload`, as compact JSON in UTF-8.

The event of an order with 100 coupons has 100 of them: with codes and ids of full length that is 660,000 bytes, less
than a broker's default limit (1,048,588 bytes).
"""

MAX_DOCUMENT_BYTES: Final = 2_097_152
"""The largest incoming event or HTTP body: 2 MiB, more than an order of 10,000 lines needs."""

MAX_WRITTEN_BYTES: Final = 900_000
"""The largest `data` of an event that Couponry writes: a broker's default limit, minus key and headers (at most 6,000
bytes) and the overhead of a batch.
"""

CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Characters that identifiers must not contain: CloudEvents forbids them in attributes, and they control terminals."""

NO_CONTROL_CHARACTERS: Final = (
    "must have no control characters (line breaks, tabs, U+0000 to U+001F, U+007F to U+009F); remove them"
)


def identifier_problem(text: str) -> str | None:
    """Return the problem of an identifier, as a sentence without its subject, or None.

    For identifiers outside models: path parameters, command line arguments.
    """
    if not text.strip():
        return "must not be blank"
    if len(text) > MAX_ID_LENGTH:
        return f"must have at most {MAX_ID_LENGTH} characters"
    return NO_CONTROL_CHARACTERS if CONTROL_CHARACTERS.search(text) else None


def check_metadata(document: Any) -> None:
    """Raise ValueError, with a sentence without its subject, for metadata that can't be passed on."""
    check_document(document, MAX_METADATA_BYTES)


def check_payload(document: Any) -> None:
    """Raise ValueError, with a sentence without its subject, for a discount's payload that can't be passed on."""
    check_document(document, MAX_PAYLOAD_BYTES)


def check_document(document: Any, max_bytes: int) -> None:
    """Raise ValueError, with a sentence without its subject, for a JSON document that some readers can't read.

    Checks nesting, integers beyond 64 bits, NaN and Infinity, the length of names, NUL, lone surrogates, and the size
    as compact JSON in UTF-8. Works without recursion, so any depth can be checked.
    """
    level: list[Any] = [document]
    for _ in range(MAX_DEPTH):
        level = [inner for node in level for inner in _members(node)]
        if not level:
            break
    else:
        raise ValueError(f"is nested deeper than {MAX_DEPTH} levels; make it flatter, or write inner parts as strings")
    try:
        size = len(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is not a character; remove it") from None
    if size > max_bytes:
        raise ValueError(f"has {size:,} bytes as JSON; it must have at most {max_bytes:,}")


def check_numbers(document: Any) -> None:
    """Raise ValueError, with a sentence without its subject, for a number beyond 64 bits in a document stored as jsonb.

    PostgreSQL writes 1e300 as an integer of 301 digits, which few readers accept. Call it after `check_document`, which
    limits the depth.
    """
    if isinstance(document, float) and not MIN_INTEGER <= document <= MAX_INTEGER:
        raise ValueError("holds a number beyond 64 bits, which many programs can't read; send it as a string")
    if isinstance(document, dict | list | tuple):
        for member in document.values() if isinstance(document, dict) else document:
            check_numbers(member)


def _members(node: Any) -> list[Any]:
    """Return the objects and lists inside an object or a list; check its names and scalars."""
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
            raise ValueError("holds NaN or Infinity, which are not valid JSON; leave them out")
    elif isinstance(value, int) and not MIN_INTEGER <= value <= MAX_INTEGER:
        raise ValueError("holds an integer of more than 64 bits, which many programs can't read; send it as a string")


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("holds the character NUL (\\u0000), which no database can store; remove it")
