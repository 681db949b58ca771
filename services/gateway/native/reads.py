"""Routes that read: coupons, wallets, redemptions and refusals, reports."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Request, Response

from schemas.limits import EARLIEST, LATEST
from services.gateway import tenants
from services.gateway.guard import CanRead, CurrentGateway, report_unknown
from services.gateway.native import new_router
from services.gateway.native.bodies import Body, moment
from services.gateway.native.openapi import responses_of
from services.gateway.native.pages import Cursor, Limit, decode_cursor, encode_cursor
from services.gateway.native.parameters import CodeFilter, CustomerFilter, Name, NameFilter, ShopFilter, When
from services.gateway.native.responses import amount, json_response
from services.gateway.native.tables import csv_response, wants_csv
from services.gateway.problems import Problem
from shared.domain.model.reasons import Reason
from shared.ledger import listing, wallets
from shared.ledger.listing import CampaignReport, Filter, Position, Redemption
from shared.ledger.wallets import WalletCoupon

router = new_router("looking")

Format = Annotated[Literal["json", "csv"] | None, Query(description="by default, the format of the Accept header")]
State = Literal["usable", "held", "used", "voided", "expired", "not_started", "campaign_inactive", "pooled"]


class WalletCouponAnswer(Body):
    """A coupon with its state, which depends on its uses, its validity period and its campaign."""

    coupon_id: str
    code: str | None
    campaign_id: str
    state: str
    uses_limit: int | None
    used_uses: int
    held_uses: int
    starts_at: str | None
    ends_at: str | None
    issued_at: str | None


class CouponsAnswer(Body):
    """A page of coupons. It may have fewer items than `limit` although `next_cursor` is set."""

    items: list[WalletCouponAnswer]
    next_cursor: str | None


class WalletAnswer(Body):
    """A customer and up to 1,000 coupons, those that expire last first. `more`: there are others."""

    identifiers: list[str]
    known_since: str
    coupons: list[WalletCouponAnswer]
    more: bool


class RedemptionAnswer(Body):
    """A redemption, return, restoration or refusal of a coupon on an order. Returned discounts are negative."""

    at: str
    outcome: str
    order_id: str | None
    code: str | None
    coupon_id: str | None
    campaign_id: str | None
    redemption_id: str | None
    currency: str | None
    discount_amount: str | None
    reason: str | None
    message: str | None
    command_id: str
    shop_id: str | None


class RedemptionsAnswer(Body):
    """A page of redemptions, newest first."""

    items: list[RedemptionAnswer]
    next_cursor: str | None


class ReportAnswer(Body):
    """The numbers of a campaign. `conversion`: redemptions that are not restored per issued coupon. `repeat_purchase`:
    the share of customers who redeemed on more than one order. Both are null if the divisor is 0.
    """

    campaign_id: str
    issued: int
    redeemed: int
    restored: int
    refused: dict[str, int]
    conversion: float | None
    repeat_purchase: float | None
    discount_given: dict[str, str]


class ReportsAnswer(Body):
    """A report for each campaign with any activity."""

    items: list[ReportAnswer]


CSV: dict[int | str, dict[str, Any]] = {200: {"content": {"text/csv": {"schema": {"type": "string"}}}}}


def json_or_csv(model: type[Body]) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that responds with JSON or CSV."""
    documented = responses_of(model)
    documented[200]["content"] |= CSV[200]["content"]
    return documented


@router.get("/coupons", summary="List coupons", responses=responses_of(CouponsAnswer))
async def coupons(
    request: Request,
    gateway: CurrentGateway,
    _: CanRead,
    *,
    customer: CustomerFilter = None,
    campaign_id: NameFilter = None,
    group: NameFilter = None,
    state: Annotated[State | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List coupons in pages; filter by customer, campaign, group and state."""
    after = decode_cursor(cursor, str)
    async with listing.reading(gateway.pool) as connection:
        holder = None
        if customer is not None:
            holder = await listing.customer_key(connection, gateway.names_of(customer))
            if holder is None:
                report_unknown(request, 1)
                return json_response({"items": [], "next_cursor": None})
        found, following = await listing.coupons(
            connection, campaign_id=campaign_id, holder_key=holder, group=group, state=state, groups=tenants.groups(),
            after=None if after is None else _uuid(after[0]), limit=limit,
        )  # fmt: skip
    cursor_after = None if following is None else encode_cursor([following])
    return json_response({"items": [_coupon(one) for one in found], "next_cursor": cursor_after})


@router.get("/customers/{who}/wallet", summary="Show a customer's wallet", responses=responses_of(WalletAnswer))
async def wallet(gateway: CurrentGateway, _: CanRead, who: Name) -> Response:
    """Show a customer's coupons. `who`: your customer id, an email address, or a +phone number of the customer."""
    async with gateway.pool.acquire() as connection:
        found = await wallets.wallet(connection, gateway.names_of(who), groups=tenants.groups())
    if found is None:
        raise Problem(404, "not_found", f"Customer {who!r} doesn't exist.")
    return json_response(
        {
            "identifiers": list(found.identifiers),
            "known_since": moment(found.known_since),
            "coupons": [_coupon(one) for one in found.coupons],
            "more": found.cut,
        }
    )


@router.get("/redemptions", summary="List redemptions and refusals", responses=json_or_csv(RedemptionsAnswer))
async def redemptions(
    request: Request,
    gateway: CurrentGateway,
    _: CanRead,
    *,
    outcome: Annotated[Literal["redeemed", "adjusted", "returned", "restored", "refused"] | None, Query()] = None,
    reason: Annotated[Reason | None, Query(description="only refusals for this reason")] = None,
    campaign_id: NameFilter = None,
    customer: CustomerFilter = None,
    order_id: NameFilter = None,
    shop_id: ShopFilter = None,
    code: CodeFilter = None,
    since: When = None,
    until: When = None,
    format: Format = None,  # noqa: A002 - the name that callers write
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List redemptions and refusals of all channels, newest first.

    `order_id` is an order of the shop `shop_id`, or of no shop; `shop_id` alone selects all orders of the shop.
    """
    after = _position(cursor)
    async with listing.reading(gateway.pool) as connection:
        holder = None
        if customer is not None:
            holder = await listing.customer_key(connection, gateway.names_of(customer))
        wanted = Filter(
            outcome=outcome,
            reason=None if reason is None else reason.value,
            campaign_id=campaign_id,
            customer_key=holder,
            order_id=order_id,
            shop_id=shop_id or None,
            code=code,
            since=since,
            until=until,
            groups=tenants.groups(),
        )
        found: list[Redemption] = []
        if customer is None or holder is not None:
            found = await listing.redemptions(connection, wanted, after, limit + 1)
    if (customer is not None and holder is None) or (code is not None and not found):
        report_unknown(request, 1)  # a code without redemptions may not exist, so it counts as a guess
    items = [_redemption(one) for one in found[:limit]]
    if wants_csv(request, format):
        columns = tuple(RedemptionAnswer.model_fields)
        return csv_response(columns, [[item[column] for column in columns] for item in items])
    more = len(found) > limit
    return json_response({"items": items, "next_cursor": _cursor(found[limit - 1].position) if more else None})


@router.get("/reports/campaigns", summary="Report on all campaigns", responses=json_or_csv(ReportsAnswer))
async def reports(
    request: Request,
    gateway: CurrentGateway,
    _: CanRead,
    *,
    since: When = None,
    until: When = None,
    format: Format = None,  # noqa: A002
) -> Response:
    """Return, per campaign: issued, redeemed, refused by reason, conversion, repeat purchase, discount given."""
    async with listing.reading(gateway.pool) as connection:
        found = await listing.reports(connection, None, since, until, tenants.groups())
    if wants_csv(request, format):
        return _reports_csv(found)
    return json_response({"items": [_report(one) for one in found]})


@router.get("/reports/campaigns/{campaign_id}", summary="Report on a campaign", responses=json_or_csv(ReportAnswer))
async def report(
    request: Request,
    gateway: CurrentGateway,
    _: CanRead,
    campaign_id: Name,
    *,
    since: When = None,
    until: When = None,
    format: Format = None,  # noqa: A002
) -> Response:
    """Return issued, redeemed, refused by reason, conversion, repeat purchase and discount given."""
    if await tenants.campaign(gateway, campaign_id) is None:
        raise Problem(404, "not_found", f"Campaign {campaign_id!r} doesn't exist.")
    async with listing.reading(gateway.pool) as connection:
        found = await listing.reports(connection, campaign_id, since, until)
    made = found or [CampaignReport(campaign_id)]
    return _reports_csv(made) if wants_csv(request, format) else json_response(_report(made[0]))


def _position(cursor: str | None) -> Position:
    keys = decode_cursor(cursor, int, str, str, str)
    if keys is None:
        return Position()
    entry_id, at, command_id, code = keys
    if not 0 <= entry_id < 2**63:
        raise _invalid_cursor()
    if not at:
        return Position(entry_id or None)
    try:
        refused_at = datetime.fromisoformat(at)
    except ValueError:
        raise _invalid_cursor() from None
    if refused_at.tzinfo is None or not EARLIEST <= refused_at <= LATEST:
        raise _invalid_cursor()
    return Position(entry_id or None, listing.LastRefusal(refused_at, command_id, code))


def _cursor(position: Position) -> str:
    entry_id, refused = position.entry_id or 0, position.refused
    if refused is None:
        return encode_cursor([entry_id, "", "", ""])
    return encode_cursor([entry_id, refused.at.isoformat(), refused.command_id, refused.code])


def _invalid_cursor() -> Problem:
    return Problem(422, "invalid_request", "cursor: is not valid; use `next_cursor` of the previous page.")


def _uuid(text: str) -> str:
    if len(text) != 36 or not all(one in "0123456789abcdef-" for one in text) or text.count("-") != 4:
        raise _invalid_cursor()
    return text


def _coupon(coupon: WalletCoupon) -> dict[str, Any]:
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code,
        "campaign_id": coupon.campaign_id,
        "state": coupon.state,
        "uses_limit": coupon.uses_limit,
        "used_uses": coupon.used_uses,
        "held_uses": coupon.held_uses,
        "starts_at": moment(coupon.starts_at),
        "ends_at": moment(coupon.ends_at),
        "issued_at": moment(coupon.issued_at),
    }


def _redemption(redemption: Redemption) -> dict[str, Any]:
    return {
        "at": moment(redemption.at),
        "outcome": redemption.outcome,
        "order_id": redemption.order_id,
        "code": redemption.code,
        "coupon_id": redemption.coupon_id,
        "campaign_id": redemption.campaign_id,
        "redemption_id": redemption.redemption_id,
        "currency": redemption.currency,
        "discount_amount": amount(redemption.discount_minor, redemption.currency),
        "reason": redemption.reason,
        "message": redemption.message,
        "command_id": redemption.command_id,
        "shop_id": redemption.shop_id,
    }


def _report(report: CampaignReport) -> dict[str, Any]:
    return {
        "campaign_id": report.campaign_id,
        "issued": report.issued,
        "redeemed": report.redeemed,
        "restored": report.restored,
        "refused": dict(sorted(report.refused.items())),
        "conversion": _rounded(report.conversion),
        "repeat_purchase": _rounded(report.repeat_purchase),
        "discount_given": {
            currency: amount(minor, currency) for currency, minor in sorted(report.discount_minor.items())
        },
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _reports_csv(found: list[CampaignReport]) -> Response:
    """Return a row for each campaign and currency; refusals are given as a total and by reason."""
    columns = (
        "campaign_id", "issued", "redeemed", "restored", "refused", "refused_by_reason", "conversion",
        "repeat_purchase", "currency", "discount_given",
    )  # fmt: skip
    rows = []
    for one in found:
        by_reason = " ".join(f"{reason}:{count}" for reason, count in sorted(one.refused.items()))
        for currency, minor in sorted(one.discount_minor.items()) or [("", 0)]:
            rows.append(
                (
                    one.campaign_id, one.issued, one.redeemed, one.restored, sum(one.refused.values()), by_reason,
                    _rounded(one.conversion), _rounded(one.repeat_purchase), currency,
                    amount(minor, currency) if currency else "",
                )
            )  # fmt: skip
    return csv_response(columns, rows)
