"""The steps of an erasure: which rows of which table, and what is done to them.

Each step works on a bounded number of rows in one transaction and returns where the next piece begins. Steps that find
rows by the person's keys have no cursor: a row that was changed isn't found again. Steps that look through free text go
through their table in the order of its primary key.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg
import orjson

from shared.domain.traces import Traces, pseudonym_text
from shared.ledger.database import Connection
from shared.ledger.sql import sql

ROWS_BY_KEY: Final = 500
"""Rows of the person that one transaction changes: they stay locked for milliseconds."""

ROWS_OF_TEXT: Final = 250
"""Rows whose text one transaction looks through: tens of milliseconds. A change of campaigns waits for it, and behind
that change every batch.
"""

TEXTS_LOCK: Final = 0x636F7503
"""Taken by a piece before it reads texts that it may write: two erasures may clean the same text."""

HTTP_COMMANDS: Final = "/couponry/http/"

_PART: Final = re.compile(r"/(?:[0-9]+|new|old)\Z")
"""Behind a key: which of several commands of one request it is."""

Cursor = list[Any] | None
"""The primary key behind which the next piece begins; None at the beginning of a step."""


@dataclass(frozen=True, slots=True)
class Target:
    """An erasure under way: whom it is about, and what stands for them. `requested_at` bounds what is looked at."""

    erasure_id: str
    pseudonym: str
    requested_at: datetime
    free_text: bool
    customer_keys: list[str]
    customer_ids: list[str]
    traces: Traces
    shrink: int = 0
    """pieces are halved so many times: one that took too long is tried again as a smaller one"""

    def bounded(self, rows: int) -> int:
        """How many rows a piece of this try has."""
        return max(1, rows >> self.shrink)


@dataclass(frozen=True, slots=True)
class Piece:
    """What a step did: how many rows it changed, and where it goes on. `ended`: nothing is left for it.

    `kept`: rows whose references (codes, order ids, command ids) name the person, and stay.
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
    return any(one is not None and target.traces.mentioned_in(one) for one in references)


async def _orders(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    return _by_key(await _update(connection, "erasure_orders", target), target)


async def _locks(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    return _by_key(await _update(connection, "erasure_locks", target), target)


async def _transfers(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    most = target.bounded(ROWS_BY_KEY)
    return _by_key(await connection.fetchval(sql("erasure_transfers"), target.erasure_id, most), target)


async def _journal(connection: Connection, target: Target, cursor: Cursor) -> Piece:
    await connection.execute(sql("erasure_texts_take_alone"), TEXTS_LOCK)
    found = await connection.fetch(sql("erasure_journal_find"), target.customer_keys, target.bounded(ROWS_BY_KEY))
    if found:
        verdicts = [_anonymous_verdict(record["verdict"], target) for record in found]
        command_ids = [record["command_id"] for record in found]
        await connection.fetchval(sql("erasure_journal"), target.erasure_id, command_ids, verdicts)
        places = [place for command_id in command_ids for place in answers_of(command_id)]
        await connection.execute(sql("erasure_answers"), [one[0] for one in places], [one[1] for one in places])
    kept = sum(_named(target, record["command_id"], record["order_id"]) for record in found)
    return _by_key(len(found), target, kept=kept)


def _anonymous_verdict(recorded: str, target: Target) -> str:
    """Return a verdict of the person's own command without them: their metadata goes as a whole."""
    verdict = json.loads(recorded)
    verdict.pop("metadata", None)
    verdict["customer_key"] = target.pseudonym
    if "refused" in verdict:
        verdict["refused"] = target.traces.cleaned(verdict["refused"])
    return json.dumps(verdict, ensure_ascii=False)


def answers_of(command_id: str) -> list[tuple[str, str]]:
    """Return caller and idempotency key under which the answer to a command may be kept; none if it wasn't HTTP's.

    A caller's name may hold blanks, a key holds none, and a part of a request has something behind the key: every way
    to read the id is returned.
    """
    if not command_id.startswith(HTTP_COMMANDS):
        return []
    parts = _PART.sub("", command_id.removeprefix(HTTP_COMMANDS)).split(" ")
    return [(" ".join(parts[:number]), parts[number]) for number in range(1, len(parts))]


def _by_key(changed: int, target: Target, *, kept: int = 0) -> Piece:
    return Piece(changed, None, ended=changed < target.bounded(ROWS_BY_KEY), kept=kept)


async def _update(connection: Connection, name: str, target: Target) -> int:
    most = target.bounded(ROWS_BY_KEY)
    status = await connection.execute(sql(name), target.pseudonym, target.customer_keys, most)
    return int(status.rpartition(" ")[2])


Writer = Callable[[Connection, Target, Sequence[asyncpg.Record]], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class _TextStep:
    """Look through a table's text. `scan` names a query that returns the key columns, then `text` where it is suspect.

    `beginning` is a key below every key. `write` takes the suspect rows and returns how many it changed.
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
            target.traces.digit_patterns(),
            target.requested_at,
            *(cursor or self.beginning),
        )
        suspect = [record for record in found if record["text"] is not None]
        changed = await self.write(connection, target, suspect) if suspect else 0
        last = [found[-1][number] for number in range(len(self.beginning))] if found else None
        return Piece(changed, last, ended=len(found) < target.bounded(ROWS_OF_TEXT))


async def _write_journal(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    """Verdicts on what others asked for, which name the person in free text."""
    command_ids, verdicts = [], []
    for record in records:
        verdict = json.loads(record["text"])
        cleaned = {
            name: target.traces.cleaned(value) if name in ("metadata", "refused") else value
            for name, value in verdict.items()
        }
        if cleaned != verdict:
            command_ids.append(record["command_id"])
            verdicts.append(json.dumps(cleaned, ensure_ascii=False))
    if command_ids:
        await connection.fetchval(sql("erasure_journal"), target.erasure_id, command_ids, verdicts)
    return len(command_ids)


async def _write_shared_occasions(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    occasions = [record["occasion"] for record in records if target.traces.mentioned_in(record["occasion"])]
    if occasions:
        await connection.execute(sql("erasure_occasions_shared"), occasions)
    return len(occasions)


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


def _happened(data: Mapping[str, Any], told_at: datetime) -> datetime:
    """Return when what an event tells of happened. Later than the erasure, it is of somebody new under the same names.

    A notification is written later than the redemption it tells of: the notifier may be behind.
    """
    redeemed_at = data.get("redeemed_at")
    return told_at if redeemed_at is None else datetime.fromisoformat(redeemed_at)


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


async def _write_answers(connection: Connection, target: Target, records: Sequence[asyncpg.Record]) -> int:
    named = [record for record in records if target.traces.written_in(record["text"])]
    if named:
        keys = [record["idempotency_key"] for record in named]
        await connection.execute(sql("erasure_answers"), [record["caller"] for record in named], keys)
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


FREE_TEXT: Final = "journal_text"

STEPS: Final[Mapping[str, Step]] = {
    "coupons": _coupons,
    "orders": _orders,
    "locks": _locks,
    "transfers": _transfers,
    "journal": _journal,
    FREE_TEXT: _TextStep("erasure_journal_scan", ("",), _write_journal),
    "shared_occasions": _TextStep("erasure_shared_occasions_scan", ("", ""), _write_shared_occasions),
    "external_requests": _TextStep(
        "erasure_requests_scan", ("", ""), _texts("erasure_requests", "error", ("command_id", "campaign_id"))
    ),
    "http_answers": _TextStep("erasure_answers_scan", ("", ""), _write_answers),
    "outbox": _TextStep("erasure_outbox_scan", (0,), _events("erasure_outbox")),
    "outbox_withheld": _TextStep("erasure_withheld_scan", (0,), _events("erasure_withheld")),
    "webhook_deliveries": _TextStep("erasure_deliveries_scan", (0,), _write_deliveries),
    "webhook_attempts": _TextStep(
        "erasure_attempts_scan", (0, 0), _texts("erasure_attempts", "error", ("delivery_id", "attempt"))
    ),
}
"""In their order: coupons first, since a batch that voids one writes its holder's key."""

FIRST: Final = "coupons"
LAST: Final = "finish"


def following(step: str, *, free_text: bool) -> str:
    """Return the step after `step`; LAST when all are done."""
    names = [name for name in STEPS if free_text or name != FREE_TEXT]
    place = names.index(step) + 1
    return names[place] if place < len(names) else LAST
