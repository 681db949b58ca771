"""Queries for people: the history of a code, campaigns, refusals with their reasons. Wallets are in `wallets`.

Read only and without locks; not for the hot path of a service. Money is in minor units of the currency next to it.
Times are UTC.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from schemas.campaigns import CampaignDefinition, stored_campaign
from shared.domain.model.code_keys import earlier_code_key
from shared.domain.model.coupon import code_key
from shared.domain.model.ids import order_key, order_names
from shared.ledger.database import Connection
from shared.ledger.order_naming import named_row, selected_orders
from shared.ledger.sql import sql
from shared.ledger.wallets import end_of

MAX_ENTRIES: Final = 1_000
"""Entries shown of one coupon, more than a person reads. A shared code may have more; then `cut` is true."""

MAX_EARLIER: Final = 100
"""Earlier coupons shown of one code."""

REQUESTS: Final = {
    "RedeemCoupons": "placing or changing the order",
    "PayOrder": "its payment",
    "FailPayment": "its failed payment",
    "CancelOrder": "its cancellation",
    "ReturnOrder": "its return",
}
"""Requests that may change nothing about an order, by the kind that the journal has."""

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class CouponDetails:
    """The current state of a coupon. `uses_limit` None: no limit. `ends_at`: the earlier of its own end and its
    campaign's; `own_ends_at`: its own. `holder`: the customer's identifiers, each as `<kind> <value>`. `code_freed`:
    the code was freed, so it names this coupon only in histories.
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
    own_ends_at: datetime | None
    issued_at: datetime | None
    occasion: str | None
    campaign_name: str | None
    campaign_status: str | None
    holder: tuple[str, ...]
    code_freed: bool


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """An entry in a coupon's history: a ledger entry (with its `kind`), a refusal (`kind` "refused"), or a request for
    one of its orders that changed nothing ("unchanged").

    `ends_at` is the new own end of an `extended` coupon. `reason` is why a request was refused or changed nothing.
    `message` is a refusal's, names the request that changed nothing, or says why a coupon was changed.
    """

    at: datetime
    kind: str
    order_id: str | None
    shop_id: str | None
    lock_reference: str | None
    held_uses: int
    used_uses: int
    held_minor: int
    used_minor: int
    currency: str | None
    reason: str | None
    message: str | None
    command_id: str
    campaign_id: str | None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OpenHold:
    """Uses that a lock holds now."""

    lock_reference: str
    uses: int
    order_id: str | None
    shop_id: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class CouponHistory:
    """Everything about one code. `coupon` None: no coupon has the code, but it was tried. `cut`: there is more.

    `earlier`: coupons that had the code until it was freed, newest first. Without another, `coupon` is the newest.
    """

    code: str
    coupon: CouponDetails | None
    holds: tuple[OpenHold, ...]
    happenings: tuple[HistoryEntry, ...]
    cut: bool
    earlier: tuple[CouponDetails, ...] = ()


@dataclass(frozen=True, slots=True)
class RedemptionLine:
    """One coupon on one order. `outcome`: redeemed, adjusted, returned (partly), restored, refused; or unchanged, for a
    request that changed nothing about the order.

    `discount_minor` is negative if it was returned. `reason` is why a request was refused or changed nothing.
    """

    at: datetime
    order_id: str | None
    shop_id: str | None
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
    """A stored campaign."""

    campaign_id: str
    status: str
    definition: CampaignDefinition
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CampaignCounts:
    """Counts of a campaign's coupons; `pooled` ones wait to be issued and aren't among `coupons`."""

    coupons: int
    pooled: int
    voided: int
    held_uses: int
    used_uses: int


async def coupon_history(
    connection: Connection, code: str, groups: Sequence[str] | None = None
) -> CouponHistory | None:
    """Return the history of a code, oldest first; None if it was never issued or tried.

    `groups` selects coupons of campaigns of these groups; a code that was only tried belongs to none.
    """
    records = await connection.fetch(sql("show_coupon"), code_key(code), MAX_EARLIER + 1)
    if groups is not None:
        hidden = {record["campaign_id"] for record in records if record["campaign_group"] not in groups}
        records = [record for record in records if record["campaign_id"] not in hidden]
        if not records:
            return None
    coupons = [_details(dict(record)) for record in records]
    coupon_ids = [coupon.coupon_id for coupon in coupons]
    happenings = await _refusals(connection, coupon_ids, code)
    if groups is not None:
        happenings = [one for one in happenings if one.campaign_id is None or one.campaign_id not in hidden]
    holds: tuple[OpenHold, ...] = ()
    if coupon_ids:
        happenings += await _entries(connection, coupon_ids)
        found = await connection.fetch(sql("show_coupon_holds"), coupon_ids, MAX_ENTRIES)
        holds = tuple(OpenHold(**named_row(record)) for record in found)
    elif not happenings:
        return None
    if groups is None:  # the other requests for an order may be another tenant's
        happenings += await _unchanged(connection, happenings)
    happenings.sort(key=lambda one: one.at)
    cut = len(happenings) > MAX_ENTRIES
    shown = coupons[0].code if coupons else code.strip()
    first, earlier = coupons[0] if coupons else None, tuple(coupons[1:])
    return CouponHistory(shown, first, holds, tuple(happenings[:MAX_ENTRIES]), cut, earlier)


def _details(record: dict[str, Any]) -> CouponDetails:
    record["own_ends_at"] = record["ends_at"]
    record["ends_at"] = end_of(record["ends_at"], record.pop("campaign_window"))
    del record["campaign_group"]
    return CouponDetails(**{**record, "holder": tuple(record["holder"])})


async def _entries(connection: Connection, coupon_ids: Sequence[str]) -> list[HistoryEntry]:
    records = await connection.fetch(sql("show_coupon_entries"), coupon_ids, MAX_ENTRIES + 1)
    return [HistoryEntry(**named_row(record), reason=None) for record in records]


async def _refusals(connection: Connection, coupon_ids: Sequence[str], code: str) -> list[HistoryEntry]:
    records = await connection.fetch(
        sql("show_coupon_refusals"), coupon_ids, code_key(code), earlier_code_key(code), MAX_ENTRIES + 1
    )
    return [
        _without_uses(record, "refused", record["reason"], record["message"], campaign_id=record["campaign_id"])
        for record in records
    ]


def _without_uses(
    record: Any, kind: str, reason: str, message: str | None, *, campaign_id: str | None = None
) -> HistoryEntry:
    """Return the entry of a request that moved no use and no amount."""
    return HistoryEntry(
        at=record["at"],
        kind=kind,
        **order_names(record["order_id"]),
        lock_reference=None,
        held_uses=0,
        used_uses=0,
        held_minor=0,
        used_minor=0,
        currency=None,
        reason=reason,
        message=message,
        command_id=record["command_id"],
        campaign_id=campaign_id,
    )


async def _unchanged(connection: Connection, happenings: Iterable[HistoryEntry]) -> list[HistoryEntry]:
    """Return the requests that changed nothing, for the orders of `happenings`."""
    keys = {order_key(one.shop_id, one.order_id) for one in happenings if one.order_id is not None}
    if not keys:
        return []
    records = await connection.fetch(sql("show_unchanged"), sorted(keys), MAX_ENTRIES + 1)
    return [_without_uses(record, "unchanged", record["why"], REQUESTS.get(record["kind"])) for record in records]


async def redemptions(
    connection: Connection,
    *,
    refused_only: bool = False,
    reason: str | None = None,
    since: datetime | None = None,
    limit: int = 50,
    order_id: str | None = None,
    shop_id: str | None = None,
) -> list[RedemptionLine]:
    """Return at most `limit` redemptions, restores and refusals of coupons on orders, newest first.

    `reason` (a Reason's code) selects only refusals with this reason. `order_id` and `shop_id`: see `selected_orders`;
    of one order, requests that changed nothing are listed too.
    """
    earliest, selected = since or BEGINNING, selected_orders(shop_id, order_id)
    lines = [
        RedemptionLine(**named_row(record), outcome="refused", discount_minor=None, currency=None)
        for record in await connection.fetch(sql("list_refused"), earliest, reason, limit, *selected)
    ]
    if not refused_only and reason is None:
        lines += map(_moved, await connection.fetch(sql("list_redeemed"), earliest, limit, *selected))
        if order_id is not None:
            found = await connection.fetch(sql("show_unchanged"), [order_key(shop_id, order_id)], MAX_ENTRIES)
            lines += [_unchanged_line(record) for record in found if record["at"] >= earliest]
        lines.sort(key=lambda line: line.at, reverse=True)
    return lines[:limit]


def _unchanged_line(record: Any) -> RedemptionLine:
    return RedemptionLine(
        at=record["at"],
        **order_names(record["order_id"]),
        outcome="unchanged",
        code=None,
        campaign_id=None,
        discount_minor=None,
        currency=None,
        reason=record["why"],
        message=REQUESTS.get(record["kind"]),
        command_id=record["command_id"],
    )


def _moved(record: Any) -> RedemptionLine:
    return RedemptionLine(
        at=record["at"],
        **order_names(record["order_id"]),
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
    """Return all campaigns by id."""
    return [_campaign(record) for record in await connection.fetch(sql("list_campaigns"))]


async def campaigns_after(
    connection: Connection,
    after: str | None,
    limit: int,
    status: str | None = None,
    groups: Sequence[str] | None = None,
) -> list[CampaignLine]:
    """Return at most `limit` campaigns by id, those after `after`, optionally of one `status` or of `groups`."""
    records = await connection.fetch(sql("list_campaigns_after"), after, status, limit, groups)
    return [_campaign(record) for record in records]


async def campaign(connection: Connection, campaign_id: str) -> CampaignLine | None:
    """Return one campaign; None if the id is unknown."""
    record = await connection.fetchrow(sql("show_campaign"), campaign_id)
    return None if record is None else _campaign(record)


async def campaign_counts(connection: Connection, campaign_id: str) -> CampaignCounts:
    """Return the counts of a campaign's coupons."""
    record = await connection.fetchrow(sql("show_campaign_counts"), campaign_id)
    return CampaignCounts(**dict(record or {}))


def _campaign(record: Any) -> CampaignLine:
    definition = stored_campaign(record["definition"])
    return CampaignLine(**{**record, "definition": definition})


@dataclass(frozen=True, slots=True)
class EntryTotals:
    """Totals of ledger entries of one kind and currency: entries, redemptions and the sum of discounts."""

    kind: str
    currency: str | None
    entries: int
    redemptions: int
    used_minor: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of the ledger. `refused` counts coupons by reason, `events` those in the outbox by type."""

    entries: tuple[EntryTotals, ...]
    refused: dict[str, int]
    events: dict[str, int]


async def totals(connection: Connection) -> Totals:
    """Return the totals. Reads the whole ledger."""
    return Totals(
        entries=tuple(
            EntryTotals(**{**record, "used_minor": int(record["used_minor"])})
            for record in await connection.fetch(sql("show_totals_entries"))
        ),
        refused={record[0]: record[1] for record in await connection.fetch(sql("show_totals_refused"))},
        events={record[0]: record[1] for record in await connection.fetch(sql("show_totals_events"))},
    )
