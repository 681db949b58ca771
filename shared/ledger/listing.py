"""Read lists in pages, and reports, for back offices.

Read only. Pages use keysets (a page begins after the last row of the previous one), so the last page costs as much as
the first. Money is in minor units of the currency next to it. Times are UTC.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Final, NamedTuple

from shared.domain.model.code_keys import earlier_code_key
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Identifier
from shared.domain.model.ids import order_names
from shared.ledger.database import Connection, Pool
from shared.ledger.order_naming import selected_orders
from shared.ledger.sql import sql
from shared.ledger.wallets import WalletCoupon, wallet_coupon

MAX_CHUNKS: Final = 20
"""Limit of the chunks that are read for coupons in one state before a page ends with those found."""


class LastRefusal(NamedTuple):
    """The last refusal of a page: its time, the request, and the code as it was written."""

    at: datetime
    command_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Position:
    """The end of a page of redemptions: the last ledger entry and the last refusal on it."""

    entry_id: int | None = None
    refused: LastRefusal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """A filter of redemptions; a field that is None selects all. `outcome`: redeemed, returned, restored, refused."""

    outcome: str | None = None
    reason: str | None = None
    campaign_id: str | None = None
    customer_key: str | None = None
    order_id: str | None = None
    shop_id: str | None = None
    """with `order_id`: the order of this shop; alone: all orders of the shop"""
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    groups: Sequence[str] | None = None
    """groups of campaigns"""

    @property
    def orders(self) -> tuple[str | None, str | None]:
        """Return the key of the selected order, and how the keys of all selected orders begin; None selects all."""
        return selected_orders(self.shop_id, self.order_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Redemption:
    """One coupon on one order. `discount_minor` is negative if it was returned. `position`: the page so far."""

    at: datetime
    outcome: str
    order_id: str | None
    shop_id: str | None
    code: str | None
    coupon_id: str | None
    campaign_id: str | None
    redemption_id: str | None = None
    discount_minor: int | None = None
    currency: str | None
    reason: str | None = None
    message: str | None = None
    command_id: str
    position: Position = field(compare=False)


@dataclass(slots=True)
class CampaignReport:
    """Totals of a campaign in a period. `discount_minor` by currency, minus what was returned."""

    campaign_id: str
    issued: int = 0
    redeemed: int = 0
    restored: int = 0
    refused: dict[str, int] = field(default_factory=dict)
    customers: int = 0
    returning: int = 0
    discount_minor: dict[str, int] = field(default_factory=dict)

    @property
    def conversion(self) -> float | None:
        """Return active uses per issued coupon; None if none was issued."""
        return (self.redeemed - self.restored) / self.issued if self.issued else None

    @property
    def repeat_purchase(self) -> float | None:
        """Return the share of redeeming customers with more than one order; None without customers."""
        return self.returning / self.customers if self.customers else None


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """Return a connection for statements with optional filters."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(sql("reads_begin"))
        yield connection


async def customer_key(connection: Connection, names: Sequence[Identifier]) -> str | None:
    """Return the customer key of the first known one of `names`; None if none is known."""
    for kind, value in names:
        record = await connection.fetchrow(sql("show_customer"), kind, value)
        if record is not None:
            return str(record["customer_key"])
    return None


async def redemptions(connection: Connection, wanted: Filter, after: Position, limit: int) -> list[Redemption]:
    """Return at most `limit` redemptions, restores and refusals, newest first."""
    moved = await _moved(connection, wanted, after, limit)
    refused = await _refused(connection, wanted, after, limit)
    found: list[Redemption] = []
    position = after
    for entry in islice(merge(moved, refused, key=lambda entry: entry.at, reverse=True), limit):
        position = Position(entry.position.entry_id or position.entry_id, entry.position.refused or position.refused)
        found.append(replace(entry, position=position))
    return found


async def _moved(connection: Connection, wanted: Filter, after: Position, limit: int) -> list[Redemption]:
    if wanted.reason is not None or wanted.outcome == "refused":
        return []
    coupon_ids = None
    if wanted.code is not None:
        records = await connection.fetch(sql("coupons_of_code"), code_key(wanted.code))
        coupon_ids = [record["coupon_id"] for record in records]
        if not coupon_ids:
            return []
    key, prefix = wanted.orders
    kind = {"redeemed": "burned"}.get(wanted.outcome or "", wanted.outcome)
    records = await connection.fetch(
        sql("page_redeemed"), kind, wanted.since, wanted.until, wanted.campaign_id, wanted.customer_key,
        key, coupon_ids, after.entry_id, limit, wanted.groups, prefix,
    )  # fmt: skip
    return [
        Redemption(
            at=record["at"],
            outcome="redeemed" if record["kind"] == "burned" else record["kind"],
            **order_names(record["order_id"]),
            code=record["code"],
            coupon_id=record["coupon_id"],
            campaign_id=record["campaign_id"],
            redemption_id=record["redemption_id"],
            discount_minor=record["used_minor"],
            currency=record["currency"],
            command_id=record["command_id"],
            position=Position(entry_id=record["entry_id"]),
        )
        for record in records
    ]


async def _refused(connection: Connection, wanted: Filter, after: Position, limit: int) -> list[Redemption]:
    if wanted.outcome not in {None, "refused"}:
        return []
    key, prefix = wanted.orders
    records = await connection.fetch(
        sql("page_refused"), wanted.reason, wanted.since, wanted.until, wanted.campaign_id, wanted.customer_key,
        key, None if wanted.code is None else code_key(wanted.code),
        *(after.refused or [None] * len(LastRefusal._fields)), limit, wanted.groups, prefix,
        None if wanted.code is None else earlier_code_key(wanted.code),
    )  # fmt: skip
    return [
        Redemption(
            at=record["at"],
            outcome="refused",
            **order_names(record["order_id"]),
            code=record["code"] or None,
            coupon_id=record["coupon_id"],
            campaign_id=record["campaign_id"],
            currency=record["currency"],
            reason=record["reason"],
            message=record["message"],
            command_id=record["command_id"],
            position=Position(refused=LastRefusal(record["at"], record["command_id"], record["code"])),
        )
        for record in records
    ]


async def coupons(
    connection: Connection,
    *,
    campaign_id: str | None = None,
    holder_key: str | None = None,
    group: str | None = None,
    state: str | None = None,
    groups: Sequence[str] | None = None,
    after: str | None = None,
    limit: int = 50,
) -> tuple[list[WalletCoupon], str | None]:
    """Return at most `limit` coupons by id, and where the next page begins or None.

    `state` is one of a wallet's, or `pooled`. `groups`: only campaigns of these groups.
    If few coupons have the state, a page may be short or empty although another one follows.
    """
    found: list[WalletCoupon] = []
    for _ in range(MAX_CHUNKS):
        records = await connection.fetch(sql("page_coupons"), campaign_id, holder_key, group, after, limit + 1, groups)
        for record in records[:limit]:
            coupon = wallet_coupon(dict(record))
            after = coupon.coupon_id
            if state is None or coupon.state == state:
                found.append(coupon)
                if len(found) == limit:
                    more = len(records) > limit or coupon.coupon_id != str(records[-1]["coupon_id"])
                    return found, after if more else None
        if len(records) <= limit:
            return found, None
    return found, after


async def reports(
    connection: Connection,
    campaign_id: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    groups: Sequence[str] | None = None,
) -> list[CampaignReport]:
    """Return a report for each campaign with activity, optionally of one campaign or of `groups`. Reads all rows of the
    window.
    """
    window = (campaign_id, since, until, groups)
    made: dict[str, CampaignReport] = defaultdict(lambda: CampaignReport(""))

    def of(name: str) -> CampaignReport:
        made[name].campaign_id = name
        return made[name]

    for record in await connection.fetch(sql("report_issued"), *window):
        of(record["campaign_id"]).issued = record["issued"]
    for record in await connection.fetch(sql("report_moved"), *window):
        report = of(record["campaign_id"])
        report.redeemed += record["redeemed"]
        report.restored += record["restored"]
        if record["currency"] is not None:
            report.discount_minor[record["currency"]] = int(record["discount_minor"])
    for record in await connection.fetch(sql("report_customers"), *window):
        report = of(record["campaign_id"])
        report.customers, report.returning = record["customers"], record["returning"]
    for record in await connection.fetch(sql("report_refused"), *window):
        of(record["campaign_id"]).refused[record["reason"]] = record["refused"]
    return [made[name] for name in sorted(made)]
