"""The steps of an erasure: which rows of which table change, and how.

Each step changes a limited number of rows in one transaction and returns where the next piece begins. Steps that find
rows by the customer's keys need no cursor, because a changed row isn't found again. Steps that search text read their
table in the order of its primary key.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from shared.domain.model.coupon import code_key
from shared.ledger.database import Connection
from shared.ledger.order_rows import DETAIL_TEXTS, LINE_TEXTS
from shared.ledger.personal_data import Traces, pseudonym_text
from shared.ledger.sql import sql

ROWS_BY_KEY: Final = 500
"""Rows of the customer that one transaction changes; they are locked for milliseconds."""

ROWS_OF_TEXT: Final = 250
"""Rows whose text one transaction searches, in tens of milliseconds. A change of campaigns waits for it, and batches
wait for that change."""

TEXTS_LOCK: Final = 0x636F7503
"""Taken by a piece before it reads texts that it may write: two erasures may clean the same text."""

HTTP_COMMANDS: Final = "/couponry/http/"

_PART: Final = re.compile(r"/(?:[0-9]+|new|old)\Z")
"""The suffix after a key that distinguishes several commands of one request."""

Cursor = list[Any] | None
"""The primary key after which the next piece begins; None at the beginning of a step."""


@dataclass(frozen=True, slots=True)
class Target:
    """An open erasure: the customer's keys, traces and pseudonym. Only rows until `requested_at` are changed."""

    erasure_id: str
    pseudonym: str
    requested_at: datetime
    free_text: bool
    customer_keys: list[str]
    customer_ids: list[str]
    traces: Traces
    shrink: int = 0
    """how many times pieces are halved, because a larger one took too long"""

    def bounded(self, rows: int) -> int:
        """Return the number of rows for a piece of this attempt."""
        return max(1, rows >> self.shrink)


@dataclass(frozen=True, slots=True)
class Piece:
    """The result of a piece: the number of changed rows and the next cursor. `ended`: the step is complete.

    `kept`: rows that keep references (codes, order ids, command ids) which name the customer.
    """

    changed: int
    cursor: Cursor
    ended: bool
    kept: int = 0


Step = Callable[[Connection, Target, Cursor], Awaitable[Piece]]


async def _coupons(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    found = await connection.fetch(sql("erasure_coupons_find"), target.customer_keys, target.bounded(ROWS_BY_KEY))
    ids = [record["coupon_id"] for record in found]
    names = [_named(target, record["occasion"]) for record in found]
    await connection.execute(sql("erasure_coupons"), target.pseudonym, ids, names)
    return _by_key(len(found), target, kept=sum(_named(target, record["code"]) for record in found))


def _named(target: Target, *references: str | None) -> bool:
    return any(reference is not None and target.traces.mentioned_in(reference) for reference in references)


async def _orders(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    return _by_key(await _update(connection, "erasure_orders", target), target)


async def _locks(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    return _by_key(await _update(connection, "erasure_locks", target), target)


async def _entries(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    max_rows = target.bounded(ROWS_BY_KEY)
    return _by_key(await connection.fetchval(sql("erasure_entries"), target.erasure_id, max_rows), target)


async def _journal(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    await connection.execute(sql("erasure_texts_take_alone"), TEXTS_LOCK)
    found = await connection.fetch(sql("erasure_journal_find"), target.customer_keys, target.bounded(ROWS_BY_KEY))
    if found:
        verdicts = [_anonymous_verdict(record["verdict"], target) for record in found]
        command_ids = [record["command_id"] for record in found]
        await connection.fetchval(sql("erasure_journal"), target.erasure_id, command_ids, verdicts)
        places = [place for command_id in command_ids for place in stored_response_keys(command_id)]
        await connection.execute(
            sql("erasure_stored_responses"), [caller for caller, _ in places], [key for _, key in places]
        )
    kept = sum(_named(target, record["command_id"], record["order_id"]) for record in found)
    return _by_key(len(found), target, kept=kept)


def _anonymous_verdict(recorded: str, target: Target) -> str:
    """Return a verdict on the customer's own command without their data; metadata is removed completely."""
    verdict = json.loads(recorded)
    verdict.pop("metadata", None)
    verdict["customer_key"] = target.pseudonym
    if "refused" in verdict:
        verdict["refused"] = _with_code_keys(target.traces.cleaned(verdict["refused"]), target)
    return json.dumps(verdict, ensure_ascii=False)


def _with_code_keys(refused: list[dict[str, Any]], target: Target) -> list[dict[str, Any]]:
    """Return cleaned refusals with the keys of their cleaned codes. A code whose key names the customer goes."""
    replaced = pseudonym_text(target.pseudonym)
    for coupon in refused:
        if coupon.get("code_key") is not None and coupon.get("code") is not None:
            if replaced in coupon["code_key"] and replaced not in coupon["code"]:
                for written in (coupon["code"].strip(), repr(coupon["code"].strip())[1:-1]):
                    coupon["message"] = coupon["message"].replace(written, coupon["code_key"])
                coupon["code"] = coupon["code_key"]
            coupon["code_key"] = code_key(coupon["code"])
    return refused


def stored_response_keys(command_id: str) -> list[tuple[str, str]]:
    """Return pairs of caller and idempotency key under which a command's response may be stored; none if not HTTP's.

    A caller's name may contain blanks and a key can't, so there is one pair for every way to split the id.
    """
    if not command_id.startswith(HTTP_COMMANDS):
        return []
    parts = _PART.sub("", command_id.removeprefix(HTTP_COMMANDS)).split(" ")
    return [(" ".join(parts[:number]), parts[number]) for number in range(1, len(parts))]


def _by_key(changed: int, target: Target, *, kept: int = 0) -> Piece:
    return Piece(changed, None, ended=changed < target.bounded(ROWS_BY_KEY), kept=kept)


async def _update(connection: Connection, name: str, target: Target) -> int:
    max_rows = target.bounded(ROWS_BY_KEY)
    status = await connection.execute(sql(name), target.pseudonym, target.customer_keys, max_rows)
    return int(status.rpartition(" ")[2])


Writer = Callable[[Connection, Target, Sequence[asyncpg.Record]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class _TextStep:
    """Search a table's text. `scan` names a query: the key columns, then `text` if it may name the customer.

    `beginning` is a key below every key. `write` takes the rows with text and returns how many it changed.
    """

    scan: str
    beginning: tuple[Any, ...]
    write: Writer

    async def __call__(self, connection: Connection, target: Target, cursor: Cursor) -> Piece:
        await connection.execute(sql("erasure_texts_take_alone"), TEXTS_LOCK)
        found = await connection.fetch(
            sql(self.scan),
            target.bounded(ROWS_OF_TEXT),
            target.traces.like_patterns(),
            target.traces.phone_patterns(),
            target.requested_at,
            *(cursor or self.beginning),
        )
        suspect = [record for record in found if record["text"] is not None]
        changed = await self.write(connection, target, suspect) if suspect else 0
        last = [found[-1][number] for number in range(len(self.beginning))] if found else None
        return Piece(changed, last, ended=len(found) < target.bounded(ROWS_OF_TEXT))


async def _write_journal(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    """Clean verdicts on other customers' commands that name the customer in free text."""
    command_ids, verdicts = [], []
    for record in records:
        verdict = json.loads(record["text"])
        cleaned = {
            name: target.traces.cleaned(value) if name in ("metadata", "refused") else value
            for name, value in verdict.items()
        }
        if cleaned != verdict:
            if "refused" in cleaned:
                cleaned["refused"] = _with_code_keys(cleaned["refused"], target)
            command_ids.append(record["command_id"])
            verdicts.append(json.dumps(cleaned, ensure_ascii=False))
    if command_ids:
        await connection.fetchval(sql("erasure_journal"), target.erasure_id, command_ids, verdicts)
    return len(command_ids)


async def _write_orders(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    """Clean orders of other customers that name the customer in a code or in metadata."""
    rows = []
    for record in records:
        details, lines = json.loads(record["text"])
        cleaned_details = details and _cleaned_places(details, DETAIL_TEXTS, target)
        cleaned_lines = lines and [_cleaned_places(line, LINE_TEXTS, target) for line in lines]
        if (cleaned_details, cleaned_lines) != (details, lines):
            rows.append((record["order_id"], *map(_json_text, (cleaned_details, cleaned_lines))))
    if rows:
        await connection.execute(sql("erasure_orders_texts"), *map(list, zip(*rows, strict=True)))
    return len(rows)


def _cleaned_places(values: list[Any], places: Sequence[int], target: Target) -> list[Any]:
    return [target.traces.cleaned(value) if place in places else value for place, value in enumerate(values)]


def _json_text(document: object) -> str | None:
    return None if document is None else json.dumps(document, ensure_ascii=False)


def _occasions(name: str) -> Writer:
    """Return a writer of occasions: the statement `name` replaces those that it gets."""

    async def write(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
        occasions = [record["occasion"] for record in records if target.traces.mentioned_in(record["occasion"])]
        if occasions:
            await connection.execute(sql(name), occasions)
        return len(occasions)

    return write


def _events(name: str) -> Writer:
    """Return a writer of events: the statement `name` takes positions, keys, subjects and data."""

    async def write(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
        rows = []
        for record in records:
            data = json.loads(record["text"])
            cleaned = target.traces.cleaned_event(data)
            if cleaned == data or _happened(data, record["time"]) > target.requested_at:
                continue
            key, subject = record["key"], record["subject"]
            if _keyed_by_customer(record["topic"], key, data):
                key = subject = pseudonym_text(target.pseudonym)
            rows.append((record["position"], key, subject, json.dumps(cleaned, ensure_ascii=False)))
        if rows:
            await connection.execute(sql(name), *map(list, zip(*rows, strict=True)))
        return len(rows)

    return write


def _happened(data: Mapping[str, Any], published_at: datetime) -> datetime:
    """Return when the event's subject happened. After the erasure, the same names belong to a new customer.

    A notification may be much later than its redemption, because the notifier may lag.
    """
    redeemed_at = data.get("redeemed_at")
    return published_at if redeemed_at is None else datetime.fromisoformat(redeemed_at)


def _keyed_by_customer(topic: str, key: str, data: Mapping[str, Any]) -> bool:
    """Return whether an event's key is its customer's id; a key that looks like one may be an order's."""
    customer = data.get("customer")
    return topic == "coupons.issued" and isinstance(customer, Mapping) and key == customer.get("customer_id")


async def _write_deliveries(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    ids, payloads = [], []
    for record in records:
        payload = json.loads(record["text"])
        if _happened(payload["data"], datetime.fromisoformat(payload["timestamp"])) > target.requested_at:
            continue
        cleaned = target.traces.cleaned_event(payload["data"])
        if cleaned != payload["data"]:
            ids.append(record["delivery_id"])
            payloads.append(orjson.dumps(payload | {"data": cleaned}).decode())
    if ids:
        await connection.execute(sql("erasure_deliveries"), ids, payloads)
    return len(ids)


async def _delete_stored_responses(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    named = [record for record in records if target.traces.is_named_in(record["text"])]
    if named:
        keys = [record["idempotency_key"] for record in named]
        await connection.execute(sql("erasure_stored_responses"), [record["caller"] for record in named], keys)
    return len(named)


def _texts(name: str, column: str, keys: Sequence[str]) -> Writer:
    """Return a writer of plain texts: the statement `name` takes the key columns, then the cleaned texts."""

    async def write(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
        rows = [
            (*[record[key] for key in keys], cleaned)
            for record in records
            if (cleaned := target.traces.cleaned_text(record["text"], column)) != record["text"]
        ]
        if rows:
            await connection.execute(sql(name), *map(list, zip(*rows, strict=True)))
        return len(rows)

    return write


FREE_TEXT: Final = frozenset({"journal_text", "orders_text"})
"""Steps that search what other customers wrote. Their duration grows with the ledger, and they can be skipped."""

STEPS: Final[Mapping[str, Step]] = {
    "coupons": _coupons,
    "orders": _orders,
    "locks": _locks,
    "ledger_entries": _entries,
    "journal": _journal,
    "journal_text": _TextStep("erasure_journal_scan", ("",), _write_journal),
    "orders_text": _TextStep("erasure_orders_scan", ("",), _write_orders),
    "shared_occasions": _TextStep("erasure_shared_occasions_scan", ("", ""), _occasions("erasure_occasions_shared")),
    "revoked_rewards": _TextStep("erasure_revoked_scan", ("",), _occasions("erasure_occasions_revoked")),
    "external_requests": _TextStep(
        "erasure_requests_scan", ("", ""), _texts("erasure_requests", "error", ("command_id", "campaign_id"))
    ),
    "http_answers": _TextStep("erasure_stored_responses_scan", ("", ""), _delete_stored_responses),
    "outbox": _TextStep("erasure_outbox_scan", (0,), _events("erasure_outbox")),
    "outbox_withheld": _TextStep("erasure_withheld_scan", (0,), _events("erasure_withheld")),
    "webhook_deliveries": _TextStep("erasure_deliveries_scan", (0,), _write_deliveries),
    "webhook_attempts": _TextStep(
        "erasure_attempts_scan", (0, 0), _texts("erasure_attempts", "error", ("delivery_id", "attempt"))
    ),
}
"""The steps in their order. Coupons come first, because a batch that voids one writes its holder's key."""

FIRST: Final = "coupons"
LAST: Final = "finish"


def following(step: str, *, free_text: bool) -> str:
    """Return the step after `step`; LAST after the last one."""
    names = [name for name in STEPS if free_text or name not in FREE_TEXT]
    place = names.index(step) + 1
    return names[place] if place < len(names) else LAST
