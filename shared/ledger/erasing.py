"""Erase a customer (GDPR Art. 17): remove their identifiers, and move everything that counts to a pseudonym.

    begin: remove identifiers; move limits and open locks to the pseudonym   one exclusive transaction
    steps: coupons, orders, locks, entries, journal, outbox, …               chunks, each in its own transaction
    finish: remove the customer's keys, publish `customer.erased`            one exclusive transaction

Any process can continue the erasure of a killed one, because the row in `erasures` records the progress. Until the end
the customer's keys point to the pseudonym like those of merged customers, so the audit has no findings at any time.
"""

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import orjson

from schemas.topics import COUPONS_ISSUED
from shared.domain.model.customer import DEFAULT_RULES, CustomerKey, Identifier, IdentityRules
from shared.domain.model.ids import derived_id, referral_occasion
from shared.ledger import outbox
from shared.ledger.customers import DEFINITIONS_LOCK
from shared.ledger.database import Connection, Pool
from shared.ledger.erasing_steps import FIRST, LAST, STEPS, Target, following
from shared.ledger.event_data import CustomerErasedData
from shared.ledger.outbox import OutboxRow
from shared.ledger.personal_data import Traces
from shared.ledger.retrying import persisting
from shared.ledger.sql import sql

MAX_NAMES: Final = 1_000
"""Limit of identifiers of one customer. A customer with more is a placeholder that many people share."""

MAX_COUPONS_LISTED: Final = 1_000
"""Limit of coupon ids in `customer.erased`, which keeps the event small."""

SOURCE: Final = "/couponry/ledger"
ERASED_TYPE: Final = "customer.erased"


class ErasureRefusedError(Exception):
    """The erasure can't be done. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """The state of an erasure. `stage` is the next step; `counts` has the number of rows changed by each step.

    `finished_at` is None while it is open.
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
        """Return whether the erasure is finished."""
        return self.finished_at is not None


async def begin(pool: Pool, names: Sequence[Identifier], requested_by: str, *, free_text: bool = True) -> str | None:
    """Begin to erase the customer with the first known one of `names`; return the erasure's id.

    If no customer has these names any more, return the id of their open erasure, or None. After the commit, the same
    names belong to a new customer. Raises ErasureRefusedError, LedgerUnavailableError.
    """
    return await persisting("An erasure", lambda _: _begin(pool, names, requested_by, free_text=free_text))


async def _begin(pool: Pool, names: Sequence[Identifier], requested_by: str, *, free_text: bool) -> str | None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        customer_key = await customer_key_of(connection, names)
        if customer_key is None:
            return await open_of(connection, names)
        keys = [record[0] for record in await connection.fetch(sql("erasure_keys"), customer_key)]
        found = await connection.fetch(sql("erasure_identifiers"), keys, MAX_NAMES + 1)
        if len(found) > MAX_NAMES:
            raise ErasureRefusedError(
                f"This customer has more than {MAX_NAMES:,} identifiers, so it represents many people: "
                "producers sent a placeholder as an id, email address or phone number. Stop that, then ask the "
                "database's owner to remove the placeholder from customer_identifiers."
            )
        identifiers = [(record["kind"], record["value"]) for record in found]
        erasure_id, pseudonym = str(uuid4()), str(uuid4())
        requested_at: datetime = await connection.fetchval(sql("batch_clock"))
        counts = await _move_to_pseudonym(connection, pseudonym, keys, identifiers)
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
            orjson.dumps(counts).decode(),
        )
    return erasure_id


async def _move_to_pseudonym(
    connection: Connection, pseudonym: str, keys: list[CustomerKey], identifiers: Sequence[Identifier]
) -> dict[str, int]:
    """Merge the customer's keys into the pseudonym, and delete the identifiers. Return counts of changed rows."""
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
    await connection.execute(sql("erasure_separate_remove"), keys)
    await connection.execute(sql("erasure_identifiers_remove"), keys)
    referrals = [referral_occasion(value) for kind, value in identifiers if kind == "id"]
    await connection.execute(sql("erasure_occasions_coupons"), referrals)
    await connection.execute(sql("erasure_occasions_shared"), referrals)
    return {"identifiers": len(identifiers)}


async def customer_key_of(connection: Connection, names: Sequence[Identifier]) -> CustomerKey | None:
    """Return the key of the customer with the first known one of `names`; None if none is known."""
    for kind, value in names:
        for record in await connection.fetch(sql("customers_find"), [kind], [value]):
            key: CustomerKey = record["customer_key"]
            return key
    return None


async def open_of(connection: Connection, names: Sequence[Identifier]) -> str | None:
    """Return the id of the open erasure of the customer who had one of `names`; None if there is none."""
    for kind, value in names:
        found: str | None = await connection.fetchval(sql("erasure_open_of"), kind, value)
        if found is not None:
            return found
    return None


async def find(pool: Pool, erasure_id: str) -> Erasure | None:
    """Return an erasure; None if the id is unknown."""
    record = await pool.fetchrow(sql("erasure_show"), erasure_id)
    return None if record is None else Erasure(**{**record, "counts": json.loads(record["counts"])})


async def next_open(pool: Pool, skipped: Iterable[str] = ()) -> str | None:
    """Return the id of the oldest open erasure that isn't among `skipped`."""
    found: str | None = await pool.fetchval(sql("erasure_next"), list(skipped))
    return found


async def traces_of(pool: Pool, erasure_id: str, rules: IdentityRules = DEFAULT_RULES) -> Traces | None:
    """Return the traces of the customer of an open erasure; None if it is finished, because they are deleted then."""
    async with pool.acquire() as connection, connection.transaction():
        target, _, _ = await _taken(connection, erasure_id, rules)
    return None if target is None else target.traces


async def run(
    pool: Pool, erasure_id: str, *, seconds: float | None = None, rules: IdentityRules = DEFAULT_RULES
) -> None:
    """Work on an erasure until it is finished, or for about `seconds`. Raises LedgerUnavailableError."""
    until = None if seconds is None else time.monotonic() + seconds
    while await work(pool, erasure_id, rules):
        if until is not None and time.monotonic() > until:
            return


async def work(pool: Pool, erasure_id: str, rules: IdentityRules = DEFAULT_RULES) -> bool:
    """Do the next piece of an erasure; return False if it is finished. Several processes may do this at once.

    `rules` normalise the identifiers in documents.
    """
    return await persisting("An erasure", lambda attempt: _work(pool, erasure_id, attempt - 1, rules))


async def _work(pool: Pool, erasure_id: str, shrink: int, rules: IdentityRules) -> bool:
    async with pool.acquire() as connection, connection.transaction():
        target, step, cursor = await _taken(connection, erasure_id, rules)
        if target is None:
            return False
        if step != LAST:
            piece = await STEPS[step](connection, replace(target, shrink=shrink), cursor)
            after = following(step, free_text=target.free_text) if piece.ended else step
            where = None if piece.ended or piece.cursor is None else orjson.dumps(piece.cursor).decode()
            await connection.execute(sql("erasure_advance"), erasure_id, after, where, step, piece.changed, piece.kept)
            return True
    return await _finish(pool, erasure_id)


async def _taken(
    connection: Connection, erasure_id: str, rules: IdentityRules = DEFAULT_RULES
) -> tuple[Target | None, str, list[object] | None]:
    """Lock an erasure. Return its target (None if it is finished), its next step and that step's cursor."""
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
        traces=Traces(names, record["pseudonym"], rules),
    )
    return target, record["stage"], None if record["cursor"] is None else json.loads(record["cursor"])


async def _finish(pool: Pool, erasure_id: str) -> bool:
    """Delete the customer's keys and publish `customer.erased`; return True if rows were left to change first."""
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute(sql("definitions_lock_exclusive"), DEFINITIONS_LOCK)
        target, _, _ = await _taken(connection, erasure_id)
        if target is None:
            return False
        left: str | None = await connection.fetchval(sql("erasure_remaining"), target.customer_keys)
        if left is not None:
            await connection.execute(sql("erasure_advance"), erasure_id, left, None, left, 0, 0)
            return True
        now: datetime = await connection.fetchval(sql("batch_clock"))
        # Voiding a coupon during the erasure may have inserted empty meters for its former holder.
        await connection.execute(sql("erasure_meters_remove"), target.customer_keys)
        await connection.execute(sql("erasure_period_meters_remove"), target.customer_keys)
        await connection.execute(sql("erasure_customers_remove"), target.customer_keys)
        coupons = await connection.fetch(sql("erasure_coupons_listed"), target.pseudonym, MAX_COUPONS_LISTED)
        await connection.execute(sql("erasure_close"), erasure_id, now)
        events = _events(target, [coupon["coupon_id"] for coupon in coupons], now)
        await connection.execute(
            sql("erasure_webhooks"),
            [event.event_id for event in events],
            [_payload(event) for event in events],
            ERASED_TYPE,
        )
        await outbox.append(connection, events)
    return False


def _payload(event: OutboxRow) -> str:
    """Return a Standard Webhooks payload."""
    body = {"type": event.type, "timestamp": event.time.astimezone(UTC), "data": orjson.Fragment(event.data)}
    return orjson.dumps(body, option=orjson.OPT_UTC_Z).decode()


def _events(target: Target, coupon_ids: list[str], now: datetime) -> list[OutboxRow]:
    """Build one event per customer id, with the record key of that customer's coupons; one event if there is no id."""
    return [
        OutboxRow(
            event_id=derived_id("event", SOURCE, target.erasure_id, str(number)),
            topic=COUPONS_ISSUED.name,
            key=customer_id or target.pseudonym,
            type=ERASED_TYPE,
            source=SOURCE,
            subject=customer_id or target.pseudonym,
            time=now,
            data=orjson.dumps(_data(target, customer_id, coupon_ids, now), option=orjson.OPT_UTC_Z).decode(),
        )
        for number, customer_id in enumerate(target.customer_ids or [None])
    ]


def _data(target: Target, customer_id: str | None, coupon_ids: list[str], now: datetime) -> CustomerErasedData:
    return {
        "erasure_id": target.erasure_id,
        "pseudonym": target.pseudonym,
        "customer_id": customer_id,
        "coupon_ids": coupon_ids,
        "erased_at": now.astimezone(UTC),
    }
