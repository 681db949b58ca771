"""Questions that people ask of the ledger: what became of a code, a customer's wallet, what was refused and why.

Read only, and outside of any batch: nothing here is locked, and nothing here is for a service's path. Money is in minor
units of the currency beside it. Times are UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from schemas.campaign_parts import WindowDefinition
from schemas.campaigns import CampaignDefinition, stored_campaign
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Identifier
from shared.ledger.database import Connection
from shared.ledger.definition_values import window_of
from shared.ledger.sql import sql

MOST_ENTRIES: Final = 1_000
"""Of one coupon: more than a person reads. A shared code has far more; then the first ones are shown, and that it is
so.
"""

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CouponDetails:
    """A coupon as it stands. `uses_limit` None: no limit. `ends_at`: its own end or its campaign's, the earlier one.
    `holder`: the person's identifiers, `<kind> <value>` each.
    """

    coupon_id: str
    code: str
    campaign_id: str
    status: str
    uses_limit: int | None
    held_uses: int
    used_uses: int
    starts_at: datetime | None
    ends_at: datetime | None
    issued_at: datetime | None
    occasion: str | None
    campaign_name: str | None
    campaign_status: str | None
    holder: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happened to a coupon: a ledger entry (`kind` is the ledger entry's), or a refusal (`kind`
    "refused").
    """

    at: datetime
    kind: str
    order_id: str | None
    lock_reference: str | None
    held_uses: int
    used_uses: int
    held_minor: int
    used_minor: int
    currency: str | None
    reason: str | None
    message: str | None
    command_id: str


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Uses that a lock holds now."""

    lock_reference: str
    uses: int
    order_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CouponHistory:
    """Everything about one code. `coupon` None: no such coupon, but somebody tried the code. `cut`: there is more."""

    code: str
    coupon: CouponDetails | None
    holds: tuple[OpenHold, ...]
    happenings: tuple[Happening, ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class WalletCoupon:
    """A coupon in somebody's wallet. `ends_at`: its own end or its campaign's, the earlier one. `state`: usable, held,
    used, voided, expired, not_started, campaign_inactive.
    """

    coupon_id: str
    code: str | None
    campaign_id: str
    campaign_name: str | None
    state: str
    uses_limit: int | None
    held_uses: int
    used_uses: int
    starts_at: datetime | None
    ends_at: datetime | None
    issued_at: datetime | None


@dataclass(frozen=True, slots=True)
class Wallet:
    """A person and their coupons. `identifiers`: `<kind> <value>` each. `cut`: there are more coupons."""

    customer_key: str
    identifiers: tuple[str, ...]
    known_since: datetime
    coupons: tuple[WalletCoupon, ...]
    cut: bool


@dataclass(frozen=True, slots=True)
class RedemptionLine:
    """What became of one coupon on one order. `outcome`: redeemed, returned (in part), restored, refused.

    `discount_minor` of what came back is negative.
    """

    at: datetime
    order_id: str | None
    outcome: str
    code: str | None
    campaign_id: str | None
    discount_minor: int | None
    currency: str | None
    reason: str | None
    message: str | None
    command_id: str


@dataclass(frozen=True, slots=True)
class CampaignLine:
    """A campaign as it was loaded."""

    campaign_id: str
    status: str
    definition: CampaignDefinition
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """What became of a campaign's coupons; `pooled` ones wait to be issued and are not among `coupons`."""

    coupons: int
    pooled: int
    voided: int
    held_uses: int
    used_uses: int


async def coupon_history(
    connection: Connection, code: str, groups: Sequence[str] | None = None
) -> CouponHistory | None:
    """All that happened to the coupon with this code, oldest first; None when nobody ever issued or tried it.

    `groups` leaves only coupons of campaigns of these groups; what was merely tried is of none.
    """
    key = code_key(code)
    record = await connection.fetchrow(sql("show_coupon"), key)
    if groups is not None and (record is None or record["campaign_group"] not in groups):
        return None
    coupon = None if record is None else _details(dict(record))
    coupon_id = None if coupon is None else coupon.coupon_id
    happenings = await _refusals(connection, coupon_id, key)
    holds: tuple[OpenHold, ...] = ()
    if coupon_id is not None:
        happenings += await _entries(connection, coupon_id)
        found = await connection.fetch(sql("show_coupon_holds"), coupon_id, MOST_ENTRIES)
        holds = tuple(OpenHold(**record) for record in found)
    elif not happenings:
        return None
    happenings.sort(key=lambda one: one.at)
    cut = len(happenings) > MOST_ENTRIES
    return CouponHistory(coupon.code if coupon else code.strip(), coupon, holds, tuple(happenings[:MOST_ENTRIES]), cut)


def _details(record: dict[str, Any]) -> CouponDetails:
    record["ends_at"] = _end(record["ends_at"], record.pop("campaign_window"))
    del record["campaign_group"]
    return CouponDetails(**{**record, "holder": tuple(record["holder"])})


def _end(own_end: datetime | None, campaign_window: str | None) -> datetime | None:
    """When a coupon ends: by itself, or with its campaign as that is now."""
    campaign_end = None if campaign_window is None else _campaign_end(campaign_window)
    if own_end is None or campaign_end is None:
        return own_end or campaign_end
    return min(own_end, campaign_end)


@lru_cache(maxsize=1_000)
def _campaign_end(window: str) -> datetime | None:
    return window_of(WindowDefinition.model_validate_json(window), ()).ends_at


async def _entries(connection: Connection, coupon_id: str) -> list[Happening]:
    records = await connection.fetch(sql("show_coupon_entries"), coupon_id, MOST_ENTRIES + 1)
    return [Happening(**record, reason=None, message=None) for record in records]


async def _refusals(connection: Connection, coupon_id: str | None, key: str) -> list[Happening]:
    records = await connection.fetch(sql("show_coupon_refusals"), coupon_id, key, MOST_ENTRIES + 1)
    return [
        Happening(
            at=record["at"],
            kind="refused",
            order_id=record["order_id"],
            lock_reference=None,
            held_uses=0,
            used_uses=0,
            held_minor=0,
            used_minor=0,
            currency=None,
            reason=record["reason"],
            message=record["message"],
            command_id=record["command_id"],
        )
        for record in records
    ]


async def wallet(
    connection: Connection,
    identifiers: Sequence[Identifier],
    limit: int = MOST_ENTRIES,
    groups: Sequence[str] | None = None,
) -> Wallet | None:
    """The wallet of the person that the first known one of `identifiers` names; None when none is known.

    `groups` leaves only coupons of campaigns of these groups; a person who has none of them isn't known.
    """
    for kind, value in identifiers:
        person = await connection.fetchrow(sql("show_customer"), kind, value)
        if person is not None:
            break
    else:
        return None
    records = await connection.fetch(sql("list_wallet"), person["customer_key"], limit + 1, groups)
    if groups is not None and not records:
        return None
    return Wallet(
        customer_key=person["customer_key"],
        identifiers=tuple(person["identifiers"]),
        known_since=person["created_at"],
        coupons=tuple(sorted((wallet_coupon(dict(record)) for record in records[:limit]), key=_lasts, reverse=True)),
        cut=len(records) > limit,
    )


def _lasts(coupon: WalletCoupon) -> tuple[bool, datetime]:
    """What lasts longest is greatest; without an end most of all."""
    return (coupon.ends_at is None, coupon.ends_at or BEGINNING)


def wallet_coupon(record: dict[str, Any]) -> WalletCoupon:
    """A coupon with the state that follows from its row and its campaign's; takes `record` apart."""
    record["ends_at"] = _end(record["ends_at"], record.pop("campaign_window"))
    now: datetime = record.pop("now")
    status, campaign_status = record.pop("status"), record.pop("campaign_status")
    limit, held, used = record["uses_limit"], record["held_uses"], record["used_uses"]
    if status != "active":
        state = status
    elif limit is not None and used >= limit:
        state = "used"
    elif campaign_status != "active":
        state = "campaign_inactive"
    elif record["ends_at"] is not None and record["ends_at"] <= now:
        state = "expired"
    elif record["starts_at"] is not None and record["starts_at"] > now:
        state = "not_started"
    else:
        state = "held" if limit is not None and held + used >= limit else "usable"
    return WalletCoupon(**record, state=state)


async def redemptions(
    connection: Connection,
    *,
    refused_only: bool = False,
    reason: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
) -> list[RedemptionLine]:
    """What became of coupons on orders, newest first: used, given back, refused; at most `limit` of them.

    `reason` (a Reason's code) leaves only refusals for it.
    """
    earliest = since or BEGINNING
    lines = [
        RedemptionLine(**record, outcome="refused", discount_minor=None, currency=None)
        for record in await connection.fetch(sql("list_refused"), earliest, reason, limit)
    ]
    if not refused_only and reason is None:
        lines += map(_moved, await connection.fetch(sql("list_redeemed"), earliest, limit))
        lines.sort(key=lambda line: line.at, reverse=True)
    return lines[:limit]


def _moved(record: Any) -> RedemptionLine:
    return RedemptionLine(
        at=record["at"],
        order_id=record["order_id"],
        outcome="redeemed" if record["kind"] == "burned" else record["kind"],
        code=record["code"],
        campaign_id=record["campaign_id"],
        discount_minor=record["used_minor"],
        currency=record["currency"],
        reason=None,
        message=None,
        command_id=record["command_id"],
    )


async def campaigns(connection: Connection) -> list[CampaignLine]:
    """All campaigns, by id."""
    return [_campaign(record) for record in await connection.fetch(sql("list_campaigns"))]


async def campaigns_after(
    connection: Connection,
    after: str | None,
    limit: int,
    status: str | None = None,
    groups: Sequence[str] | None = None,
) -> list[CampaignLine]:
    """At most `limit` campaigns by id, those after `after`; of one `status`, or of `groups`, where given."""
    records = await connection.fetch(sql("list_campaigns_after"), after, status, limit, groups)
    return [_campaign(record) for record in records]


async def campaign(connection: Connection, campaign_id: str) -> CampaignLine | None:
    """One campaign; None when there is none of that id."""
    record = await connection.fetchrow(sql("show_campaign"), campaign_id)
    return None if record is None else _campaign(record)


async def campaign_counts(connection: Connection, campaign_id: str) -> CampaignCounts:
    """What became of the campaign's coupons so far."""
    record = await connection.fetchrow(sql("show_campaign_counts"), campaign_id)
    return CampaignCounts(**dict(record or {}))


def _campaign(record: Any) -> CampaignLine:
    definition = stored_campaign(record["definition"])
    return CampaignLine(**{**record, "definition": definition})


@dataclass(frozen=True, slots=True)
class EntryTotals:
    """Ledger entries of one kind in one currency: how many, of how many redemptions, with which discount in all."""

    kind: str
    currency: str | None
    entries: int
    redemptions: int
    used_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """What the ledger adds up to. `refused` counts coupons by reason, `events` those in the outbox by type."""

    entries: tuple[EntryTotals, ...]
    refused: dict[str, int]
    events: dict[str, int]


async def totals(connection: Connection) -> Totals:
    """Everything added up. Reads the whole ledger."""
    return Totals(
        entries=tuple(EntryTotals(**record) for record in await connection.fetch(sql("show_totals_entries"))),
        refused={record[0]: record[1] for record in await connection.fetch(sql("show_totals_refused"))},
        events={record[0]: record[1] for record in await connection.fetch(sql("show_totals_events"))},
    )
