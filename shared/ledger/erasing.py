"""Erase a person (GDPR Art. 17): what names them is removed, what counts is moved to a pseudonym.

    begin: names gone, limits and open locks are the pseudonym's   one transaction, alone
    steps: coupons, orders, locks, entries, journal, outbox, …     bounded pieces, each its own transaction
    finish: the person's keys gone, `customer.erased` published    one transaction, alone

A process that is killed leaves the erasure to any other: the row in `erasures` says how far it came. Until the end the
person's keys point to the pseudonym as those of merged customers do, so the audit is clean at any moment.
"""

import json
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar
from uuid import uuid4

import orjson

from schemas.topics import COUPONS_ISSUED
from shared.domain.customer import CustomerKey, Identifier
from shared.domain.derive import derived_id
from shared.domain.traces import Traces, referral_occasion
from shared.ledger import outbox
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import UNAVAILABLE, Connection, Pool
from shared.ledger.engine import CONFLICTS, RUNS, LedgerUnavailableError, pause_after
from shared.ledger.erasing_steps import FIRST, LAST, STEPS, Target, following
from shared.ledger.outbox import OutboxRow
from shared.ledger.sql import sql

MOST_NAMES: Final = 1_000
"""Identifiers of one person. Whoever has more is a placeholder that many people share, not a person."""

MOST_COUPONS_TOLD: Final = 1_000
"""Coupon ids in `customer.erased`: what an event can bear."""

SOURCE: Final = "/couponry/ledger"
ERASED_TYPE: Final = "customer.erased"

Result = TypeVar("Result")


class ErasureRefusedError(Exception):
    """The erasure can't be done; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """An erasure as it stands. `stage` is the step that comes next; `counts` says how many rows each step changed.

    `finished_at` None: it is under way.
    """

    erasure_id: str
    pseudonym: str
    requested_by: str
    requested_at: datetime
    free_text: bool
    stage: str
    counts: Mapping[str, int]
    finished_at: datetime | None

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return self.finished_at is not None


async def begin(pool: Pool, names: Sequence[Identifier], requested_by: str, *, free_text: bool = True) -> str | None:
    """Begin to erase the person that the first known one of `names` means; return the erasure's id.

    Returns the id of an erasure under way where nobody is known by these names any more, None where there is none
    either. From the commit on, whoever comes under the same names is a new person. Raises ErasureRefusedError,
    LedgerUnavailableError.
    """
    return await _persisting(lambda _: _begin(pool, names, requested_by, free_text=free_text))


async def _begin(pool: Pool, names: Sequence[Identifier], requested_by: str, *, free_text: bool) -> str | None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_take_alone"), DEFINITIONS_LOCK)
        person = await person_of(connection, names)
        if person is None:
            return await _open_of(connection, names)
        keys = [record[0] for record in await connection.fetch(sql("erasure_keys"), person)]
        found = await connection.fetch(sql("erasure_identifiers"), keys, MOST_NAMES + 1)
        if len(found) > MOST_NAMES:
            raise ErasureRefusedError(
                f"This customer is known under more than {MOST_NAMES:,} identifiers, so it stands for many people: "
                "producers sent a placeholder as an id, e-mail address or phone number. Have them stop, then ask the "
                "database's owner to remove the placeholder from customer_identifiers."
            )
        identifiers = [(record["kind"], record["value"]) for record in found]
        erasure_id, pseudonym = str(uuid4()), str(uuid4())
        requested_at: datetime = await connection.fetchval(sql("batch_clock"))
        moved = await _move_what_counts(connection, pseudonym, keys, identifiers)
        await connection.execute(
            sql("erasure_add"),
            erasure_id,
            pseudonym,
            requested_by,
            requested_at,
            free_text,
            keys,
            orjson.dumps(identifiers).decode(),
            FIRST,
            orjson.dumps(moved).decode(),
        )
    return erasure_id


async def _move_what_counts(
    connection: Connection, pseudonym: str, keys: list[CustomerKey], identifiers: Sequence[Identifier]
) -> dict[str, int]:
    """Make the pseudonym the one that the person's keys mean, as a merge would, and forget the names."""
    await connection.execute(sql("erasure_pseudonym_add"), pseudonym)
    for statement in (
        "customers_merge",
        "customers_merge_meters",
        "customers_merge_meters_emptied",
        "customers_merge_period_meters",
        "customers_merge_period_meters_emptied",
        "erasure_locks_open",
    ):
        await connection.execute(sql(statement), pseudonym, keys)
    await connection.execute(sql("erasure_meters_remove"), keys)
    await connection.execute(sql("erasure_identifiers_remove"), keys)
    referrals = [referral_occasion(value) for kind, value in identifiers if kind == "id"]
    await connection.execute(sql("erasure_occasions_coupons"), referrals)
    await connection.execute(sql("erasure_occasions_shared"), referrals)
    return {"identifiers": len(identifiers)}


async def person_of(connection: Connection, names: Sequence[Identifier]) -> CustomerKey | None:
    """Return the person that the first known one of `names` means."""
    for kind, value in names:
        for record in await connection.fetch(sql("customers_find"), [kind], [value]):
            key: CustomerKey = record["customer_key"]
            return key
    return None


async def _open_of(connection: Connection, names: Sequence[Identifier]) -> str | None:
    for kind, value in names:
        found: str | None = await connection.fetchval(sql("erasure_open_of"), kind, value)
        if found is not None:
            return found
    return None


async def find(pool: Pool, erasure_id: str) -> Erasure | None:
    """Return the erasure of that id."""
    record = await pool.fetchrow(sql("erasure_show"), erasure_id)
    return None if record is None else Erasure(**{**record, "counts": json.loads(record["counts"])})


async def next_open(pool: Pool, skipped: Iterable[str] = ()) -> str | None:
    """Return the id of the oldest erasure under way that isn't among `skipped`."""
    found: str | None = await pool.fetchval(sql("erasure_next"), list(skipped))
    return found


async def traces_of(pool: Pool, erasure_id: str) -> Traces | None:
    """Return how to recognise the person of an erasure under way; None when it is done, for then nobody knows."""
    async with pool.acquire() as connection, connection.transaction():
        target, _, _ = await _taken(connection, erasure_id)
    return None if target is None else target.traces


async def run(pool: Pool, erasure_id: str, *, seconds: float | None = None) -> None:
    """Work on an erasure until it is done, or for about `seconds`. Raises LedgerUnavailableError."""
    until = None if seconds is None else time.monotonic() + seconds
    while await work(pool, erasure_id):
        if until is not None and time.monotonic() > until:
            return


async def work(pool: Pool, erasure_id: str) -> bool:
    """Do the next piece of an erasure; False when it is done. Any number of processes may do so at once."""
    return await _persisting(lambda attempt: _work(pool, erasure_id, attempt - 1))


async def _work(pool: Pool, erasure_id: str, shrink: int) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        target, step, cursor = await _taken(connection, erasure_id)
        if target is None:
            return False
        if step != LAST:
            piece = await STEPS[step](connection, replace(target, shrink=shrink), cursor)
            after = following(step, free_text=target.free_text) if piece.ended else step
            where = None if piece.ended or piece.cursor is None else orjson.dumps(piece.cursor).decode()
            await connection.execute(sql("erasure_advance"), erasure_id, after, where, step, piece.changed, piece.kept)
            return True
    return await _finish(pool, erasure_id)


async def _taken(connection: Connection, erasure_id: str) -> tuple[Target | None, str, list[object] | None]:
    """The erasure, its row locked; its step and where that goes on. None when it is done."""
    record = await connection.fetchrow(sql("erasure_take"), erasure_id)
    if record is None:
        return None, "", None
    names = [(kind, value) for kind, value in json.loads(record["identifiers"])]
    target = Target(
        erasure_id=record["erasure_id"],
        pseudonym=record["pseudonym"],
        requested_at=record["requested_at"],
        free_text=record["free_text"],
        customer_keys=list(record["customer_keys"]),
        customer_ids=[value for kind, value in names if kind == "id"],
        traces=Traces(names, record["pseudonym"]),
    )
    return target, record["stage"], None if record["cursor"] is None else json.loads(record["cursor"])


async def _finish(pool: Pool, erasure_id: str) -> bool:
    """Forget the person's keys and tell readers; True when something is left to do first."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_take_alone"), DEFINITIONS_LOCK)
        target, _, _ = await _taken(connection, erasure_id)
        if target is None:
            return False
        left: str | None = await connection.fetchval(sql("erasure_left"), target.customer_keys)
        if left is not None:
            await connection.execute(sql("erasure_advance"), erasure_id, left, None, left, 0, 0)
            return True
        now: datetime = await connection.fetchval(sql("batch_clock"))
        # A coupon that was voided meanwhile may have given its former holder empty meters.
        await connection.execute(sql("erasure_meters_remove"), target.customer_keys)
        await connection.execute(sql("erasure_period_meters_remove"), target.customer_keys)
        await connection.execute(sql("erasure_customers_remove"), target.customer_keys)
        coupons = await connection.fetch(sql("erasure_coupons_told"), target.pseudonym, MOST_COUPONS_TOLD)
        await connection.execute(sql("erasure_close"), erasure_id, now)
        events = _events(target, [one["coupon_id"] for one in coupons], now)
        await connection.execute(
            sql("erasure_webhooks"),
            [event.event_id for event in events],
            [_payload(event) for event in events],
            ERASED_TYPE,
        )
        await outbox.append(connection, events)
    return False


def _payload(event: OutboxRow) -> str:
    """A Standard Webhooks payload."""
    body = {"type": event.type, "timestamp": event.time.astimezone(UTC), "data": orjson.Fragment(event.data)}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


def _events(target: Target, coupon_ids: list[str], now: datetime) -> list[OutboxRow]:
    """One event for each customer id, under the key of that customer's coupons; without any id there is one event."""
    return [
        OutboxRow(
            event_id=derived_id("event", SOURCE, target.erasure_id, str(number)),
            topic=COUPONS_ISSUED.name,
            key=customer_id or target.pseudonym,
            type=ERASED_TYPE,
            source=SOURCE,
            subject=customer_id or target.pseudonym,
            time=now,
            data=orjson.dumps(
                {
                    "erasure_id": target.erasure_id,
                    "pseudonym": target.pseudonym,
                    "customer_id": customer_id,
                    "coupon_ids": coupon_ids,
                    "erased_at": now.astimezone(UTC),
                },
                option=orjson.OPT_UTC_Z,
            ).decode(),
        )
        for number, customer_id in enumerate(target.customer_ids or [None])
    ]


async def _persisting(attempt: Callable[[int], Awaitable[Result]]) -> Result:
    """Return what `attempt` returns, which may meet other batches. It is given its number, 1 to RUNS."""
    for number in range(1, RUNS + 1):
        try:
            return await attempt(number)
        except (*CONFLICTS, *UNAVAILABLE) as error:
            if number == RUNS:
                raise LedgerUnavailableError(f"An erasure did not get through in {RUNS} attempts: {error!r}") from error
            await pause_after(number)
    raise AssertionError("unreachable")
