"""Export everything that the ledger stores about a customer (GDPR Art. 15), as one JSON document.

The document is read in pages, so the number of rows doesn't matter. The pages aren't one snapshot: a change during the
export may be in one section and not in another.
"""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from shared.domain.model.customer import DEFAULT_RULES, CustomerKey, Identifier, IdentityRules
from shared.ledger.database import Pool
from shared.ledger.erasing import customer_key_of
from shared.ledger.erasing_steps import ROWS_OF_TEXT
from shared.ledger.order_naming import named_json
from shared.ledger.personal_data import Traces
from shared.ledger.sql import sql

ROWS_PER_PAGE: Final = 500
_ZERO_KEY: Final = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True, slots=True)
class CustomerToExport:
    """A customer to export. `customer_keys`: their own key first, then those that were merged into it."""

    customer_keys: tuple[CustomerKey, ...]
    known_since: datetime
    segments: tuple[str, ...] | None


SECTIONS: Final[Mapping[str, tuple[str, tuple[Any, ...]]]] = {
    "identifiers": ("export_identifiers", ("", "")),
    "coupons": ("export_coupons", (_ZERO_KEY,)),
    "orders": ("export_orders", ("",)),
    "locks": ("export_locks", ("",)),
    "ledger_entries": ("export_entries", (0,)),
    "decisions": ("export_journal", ("",)),
    "external_requests": ("export_external_requests", ("", "")),
    "totals": ("export_meters", ("", _ZERO_KEY)),
    "totals_of_periods": ("export_period_meters", ("", _ZERO_KEY, "")),
}
"""Section → its query, and a key below every key. The query returns the key columns, then the row as JSON text."""

TEXTS: Final[Mapping[str, tuple[str, tuple[Any, ...]]]] = {
    "events": ("erasure_outbox_scan", (0,)),
    "withheld_events": ("erasure_withheld_scan", (0,)),
    "webhook_deliveries": ("erasure_deliveries_scan", (0,)),
    "kept_answers": ("erasure_stored_responses_scan", ("", "")),
}
"""Sections found by their text, with the same queries as in an erasure."""


async def find_customer(pool: Pool, names: Sequence[Identifier]) -> CustomerToExport | None:
    """Return the customer with the first known one of `names`."""
    async with pool.acquire() as connection:
        key = await customer_key_of(connection, names)
        if key is None:
            return None
        record = await connection.fetchrow(sql("export_customer"), key)
    if record is None or record["customer_keys"] is None:
        return None
    segments = record["segments"]
    return CustomerToExport(
        tuple(record["customer_keys"]), record["known_since"], None if segments is None else tuple(segments)
    )


async def document(
    pool: Pool, customer: CustomerToExport, rules: IdentityRules = DEFAULT_RULES
) -> AsyncGenerator[bytes, None]:
    """Yield the JSON document in pieces. `rules` normalise the identifiers in documents."""
    head = {
        "exported_at": datetime.now(UTC),
        "customer_keys": customer.customer_keys,
        "known_since": customer.known_since.astimezone(UTC),
        "segments": customer.segments,
    }
    yield orjson.dumps(head, option=orjson.OPT_UTC_Z)[:-1]
    names: list[Identifier] = []
    for section, (query, beginning) in SECTIONS.items():
        yield f',\n"{section}":['.encode()
        separator = b"\n"
        async for row in _rows(pool, query, beginning, customer):
            if section == "identifiers":
                found = json.loads(row)
                names.append((found["kind"], found["value"]))
            yield separator + row.encode()
            separator = b",\n"
        yield b"]"
    traces = Traces(names, _ZERO_KEY, rules)
    for section, (query, beginning) in TEXTS.items():
        yield f',\n"{section}":['.encode()
        separator = b"\n"
        async for mention in _mentions(pool, query, beginning, traces):
            yield separator + mention
            separator = b",\n"
        yield b"]"
    yield b"}\n"


async def _rows(pool: Pool, query: str, beginning: tuple[Any, ...], customer: CustomerToExport) -> AsyncIterator[str]:
    after: Sequence[Any] = beginning
    while True:
        records = await pool.fetch(sql(query), list(customer.customer_keys), ROWS_PER_PAGE, *after)
        for record in records:
            yield named_json(record["row"])
        if len(records) < ROWS_PER_PAGE:
            return
        after = [records[-1][number] for number in range(len(beginning))]


async def _mentions(pool: Pool, query: str, beginning: tuple[Any, ...], traces: Traces) -> AsyncIterator[bytes]:
    after: Sequence[Any] = beginning
    now = datetime.now(UTC)
    while True:
        records = await pool.fetch(
            sql(query), ROWS_OF_TEXT, traces.like_patterns(), traces.phone_patterns(), now, *after
        )
        for record in records:
            if record["text"] is not None and traces.is_named_in(record["text"]):
                row = {name: value for name, value in record.items() if name != "text"}
                yield orjson.dumps(row | {"content": _content(record["text"])}, default=str)
        if len(records) < ROWS_OF_TEXT:
            return
        after = [records[-1][number] for number in range(len(beginning))]


def _content(text: str) -> object:
    """Return JSON unchanged, and other text as a string."""
    try:
        json.loads(text)
    except ValueError:
        return text
    return orjson.Fragment(text)
