"""Queries for the wallet of a customer: the coupons, each with its state.

Read only and without locks, like `queries`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

from schemas.windows import WindowDefinition
from shared.domain.model.customer import Identifier
from shared.ledger.database import Connection
from shared.ledger.definition_values import window_of
from shared.ledger.sql import sql

MAX_COUPONS: Final = 1_000
"""Coupons shown of one customer; if there are more, `cut` is true."""

BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class WalletCoupon:
    """A coupon in a wallet. `ends_at`: the earlier of its own end and its campaign's. `state`: usable, held, used,
    voided, expired, not_started, campaign_inactive.
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
    """A customer with their coupons. `identifiers`: each as `<kind> <value>`. `cut`: there are more coupons."""

    customer_key: str
    identifiers: tuple[str, ...]
    known_since: datetime
    coupons: tuple[WalletCoupon, ...]
    cut: bool


async def wallet(
    connection: Connection,
    identifiers: Sequence[Identifier],
    limit: int = MAX_COUPONS,
    groups: Sequence[str] | None = None,
) -> Wallet | None:
    """Return the wallet of the customer with the first known one of `identifiers`; None if none is known.

    `groups` selects coupons of campaigns of these groups; a customer without any is unknown.
    """
    for kind, value in identifiers:
        customer = await connection.fetchrow(sql("show_customer"), kind, value)
        if customer is not None:
            break
    else:
        return None
    records = await connection.fetch(sql("list_wallet"), customer["customer_key"], limit + 1, groups)
    if groups is not None and not records:
        return None
    return Wallet(
        customer_key=customer["customer_key"],
        identifiers=tuple(customer["identifiers"]),
        known_since=customer["created_at"],
        coupons=tuple(sorted((wallet_coupon(dict(record)) for record in records[:limit]), key=_lasts, reverse=True)),
        cut=len(records) > limit,
    )


def _lasts(coupon: WalletCoupon) -> tuple[bool, datetime]:
    """Return a sort key by end; coupons without an end are greatest."""
    return (coupon.ends_at is None, coupon.ends_at or BEGINNING)


def wallet_coupon(record: dict[str, Any]) -> WalletCoupon:
    """Return a coupon with its state, which follows from its row and its campaign's. Consumes `record`."""
    record["ends_at"] = end_of(record["ends_at"], record.pop("campaign_window"))
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


def end_of(own_end: datetime | None, campaign_window: str | None) -> datetime | None:
    """Return a coupon's end: the earlier of its own and its campaign's current one."""
    campaign_end = None if campaign_window is None else _campaign_end(campaign_window)
    if own_end is None or campaign_end is None:
        return own_end or campaign_end
    return min(own_end, campaign_end)


@lru_cache(maxsize=1_000)
def _campaign_end(window: str) -> datetime | None:
    return window_of(WindowDefinition.model_validate_json(window), ()).ends_at
