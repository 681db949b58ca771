"""Lists in pages, and reports: what back offices ask for, whoever asks.

Read only; keyset pages (a page begins after the last row of the one before), so the last page costs what the first one
does. Money is in minor units of the currency beside it. Times are UTC.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from heapq import merge
from itertools import islice
from typing import Final

from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Identifier
from shared.ledger.database import Connection, Pool
from shared.ledger.queries import WalletCoupon, wallet_coupon
from shared.ledger.sql import sql

MOST_CHUNKS: Final = 20
"""How many chunks are looked through for coupons in one state before the page ends with what was found."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page of redemptions ended: the last entry of the ledger, and the last refusal, that were shown."""

    entry_id: int | None = None
    refused: tuple[datetime, str, str] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which redemptions; None asks nothing. `outcome`: redeemed, returned, restored, refused."""

    outcome: str | None = None
    reason: str | None = None
    campaign_id: str | None = None
    customer_key: str | None = None
    order_id: str | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    groups: Sequence[str] | None = None
    """groups of campaigns"""


@dataclass(frozen=True, slots=True)
class Redemption:
    """What became of one coupon on one order. `discount_minor` of what came back is negative. `position`: so far."""

    at: datetime
    outcome: str
    order_id: str | None
    code: str | None
    coupon_id: str | None
    campaign_id: str | None
    redemption_id: str | None
    discount_minor: int | None
    currency: str | None
    reason: str | None
    message: str | None
    command_id: str
    position: Position = field(compare=False)


@dataclass(slots=True)
class CampaignReport:
    """What became of a campaign in a time. `discount_minor` by currency, less what was given back."""

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
        """Uses that stand, for each issued coupon; None where none was issued."""
        return (self.redeemed - self.restored) / self.issued if self.issued else None

    @property
    def repeat_purchase(self) -> float | None:
        """Which share of the customers who redeemed did so on more than one order."""
        return self.returning / self.customers if self.customers else None


@asynccontextmanager
async def reading(pool: Pool) -> AsyncIterator[Connection]:
    """A connection for statements with filters that may be left out."""
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        await connection.execute(sql("reads_begin"))
        yield connection


async def customer_key(connection: Connection, names: Sequence[Identifier]) -> str | None:
    """Who the first known one of `names` is; None where none is known."""
    for kind, value in names:
        person = await connection.fetchrow(sql("show_customer"), kind, value)
        if person is not None:
            return str(person["customer_key"])
    return None


async def redemptions(connection: Connection, wanted: Filter, after: Position, limit: int) -> list[Redemption]:
    """At most `limit` of them, newest first: used, given back, refused."""
    moved = await _moved(connection, wanted, after, limit)
    refused = await _refused(connection, wanted, after, limit)
    found: list[Redemption] = []
    position = after
    for one in islice(merge(moved, refused, key=lambda one: one.at, reverse=True), limit):
        position = Position(one.position.entry_id or position.entry_id, one.position.refused or position.refused)
        found.append(
            Redemption(
                one.at, one.outcome, one.order_id, one.code, one.coupon_id, one.campaign_id, one.redemption_id,
                one.discount_minor, one.currency, one.reason, one.message, one.command_id, position,
            )
        )  # fmt: skip
    return found


async def _moved(connection: Connection, wanted: Filter, after: Position, limit: int) -> list[Redemption]:
    if wanted.reason is not None or wanted.outcome == "refused":
        return []
    coupon_id = None
    if wanted.code is not None:
        coupon_id = await connection.fetchval(sql("coupon_of_code"), code_key(wanted.code))
        if coupon_id is None:
            return []
    kind = {"redeemed": "burned"}.get(wanted.outcome or "", wanted.outcome)
    records = await connection.fetch(
        sql("page_redeemed"), kind, wanted.since, wanted.until, wanted.campaign_id, wanted.customer_key,
        wanted.order_id, coupon_id, after.entry_id, limit, wanted.groups,
    )  # fmt: skip
    return [
        Redemption(
            record["at"], "redeemed" if record["kind"] == "burned" else record["kind"], record["order_id"],
            record["code"], record["coupon_id"], record["campaign_id"], record["redemption_id"], record["used_minor"],
            record["currency"], None, None, record["command_id"], Position(entry_id=record["entry_id"]),
        )
        for record in records
    ]  # fmt: skip


async def _refused(connection: Connection, wanted: Filter, after: Position, limit: int) -> list[Redemption]:
    if wanted.outcome not in {None, "refused"}:
        return []
    records = await connection.fetch(
        sql("page_refused"), wanted.reason, wanted.since, wanted.until, wanted.campaign_id, wanted.customer_key,
        wanted.order_id, None if wanted.code is None else code_key(wanted.code),
        *(after.refused or (None, None, None)), limit, wanted.groups,
    )  # fmt: skip
    return [
        Redemption(
            record["at"], "refused", record["order_id"], record["code"] or None, record["coupon_id"],
            record["campaign_id"], None, None, record["currency"], record["reason"], record["message"],
            record["command_id"], Position(refused=(record["at"], record["command_id"], record["code"])),
        )
        for record in records
    ]  # fmt: skip


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
    """(at most `limit` coupons by id, where the next page begins or None). `state` as in a wallet, or `pooled`.
    `groups`: of campaigns of these groups only.

    Few coupons in a state among many make a page that is short, or empty, though another follows.
    """
    found: list[WalletCoupon] = []
    for _ in range(MOST_CHUNKS):
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
    """A report of every campaign that anything happened to, of one, or of `groups`. Reads all that the window has."""
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
            report.discount_minor[record["currency"]] = record["discount_minor"]
    for record in await connection.fetch(sql("report_customers"), *window):
        report = of(record["campaign_id"])
        report.customers, report.returning = record["customers"], record["returning"]
    for record in await connection.fetch(sql("report_refused"), *window):
        of(record["campaign_id"]).refused[record["reason"]] = record["refused"]
    return [made[name] for name in sorted(made)]
