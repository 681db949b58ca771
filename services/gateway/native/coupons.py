"""Routes of coupons: issue, show, history, void, change."""

from typing import Annotated, Any, ClassVar, Final, Literal

from fastapi import Depends, Request, Response
from pydantic import Field

from schemas.campaigns import MAX_COUPONS_AT_ONCE
from schemas.common import Identifier, Moment, Text
from services.gateway import tenants
from services.gateway.gateway import CHANNEL, Gateway, command_id_of, refusal, refused_coupon
from services.gateway.guard import CanIssue, CanManage, CanRead, CurrentGateway, report_unknown
from services.gateway.jobs import MAX_COUPONS
from services.gateway.native import new_router
from services.gateway.native.bodies import Body, CustomerBody, body_of, moment, takes
from services.gateway.native.jobs import JobAnswer, start_job
from services.gateway.native.openapi import responses_of
from services.gateway.native.parameters import Code
from services.gateway.native.responses import RefusedAnswer, amount, json_response
from services.gateway.problems import Problem
from shared.domain.model.commands import MAX_CREATED, Cause, ChangeCoupon, CreateCoupons, IssueCoupons, VoidCoupon
from shared.domain.model.reasons import Reason
from shared.ledger import queries

router = new_router("coupons")

CAUSE: Final = "coupons.issue"
CHANGE_EXAMPLE: Final[dict[str, Any]] = {"status": "active", "reason": "voided by mistake"}
EXAMPLE: Final[dict[str, Any]] = {"campaign_id": "save10", "customer": {"customer_id": "customer_123"}}


class IssueBody(Body):
    """Coupons of one campaign, for a customer or without a holder.

    `codes`: your own codes, one coupon each, without a holder. `occasion`: the reason for the coupons, for example a
    reward's id; coupons are issued once per customer and occasion.
    """

    campaign_id: Identifier
    customer: CustomerBody | None = None
    count: Annotated[int, Field(ge=1, le=MAX_COUPONS)] | None = None
    codes: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=MAX_CREATED)] | None = None
    occasion: Identifier | None = None

    def mistake(self) -> str | None:
        if self.codes is not None and (self.count is not None or self.customer is not None):
            return "codes: can't be combined with `count` or `customer`; leave those out."
        if self.customer is None:
            return "occasion: needs `customer`; give it too." if self.occasion is not None else None
        if (self.count or 1) > MAX_COUPONS_AT_ONCE:
            return f"count: must be at most {MAX_COUPONS_AT_ONCE} for one customer."
        return self.customer.mistake()


class CouponChangeBody(Body):
    """A change of a coupon: its status, its own end, or both. What is left out stays as it is.

    `status`: `active` undoes a void. `ends_at`: a later or an earlier end in the future; null removes its own end.
    `reason`: for people; it is in the events and in the history.
    """

    blank_is_absent: ClassVar[bool] = False  # null removes an end, so an empty string may not mean null

    status: Literal["active", "voided"] | None = None
    ends_at: Moment | None = None
    reason: Annotated[Text | None, Field(min_length=1)] = None

    def mistake(self) -> str | None:
        if self.status is None and not self.moves_end:
            return "status: `status` or `ends_at` is required; the request changes nothing."
        if self.status == "voided" and self.moves_end:
            return "ends_at: can't be combined with status `voided`; a voided coupon can't be used anyway."
        return None

    @property
    def moves_end(self) -> bool:
        """Return whether the body has `ends_at`, even if it is null."""
        return "ends_at" in self.model_fields_set


class IssuedCouponAnswer(Body):
    """An issued coupon. `code` is null if the campaign has no codes. `uses`: its limit of uses, 0 for unlimited."""

    coupon_id: str
    code: str | None
    campaign_id: str
    uses: int
    starts_at: str | None
    ends_at: str | None


class IssuedAnswer(Body):
    """Issued and refused coupons."""

    outcome: str
    coupons: list[IssuedCouponAnswer]
    refused: list[RefusedAnswer]


class CouponDetailsAnswer(Body):
    """The details of a coupon. `ends_at`: the earlier of its own end (`own_ends_at`) and the end of its campaign."""

    coupon_id: str
    code: str
    campaign_id: str
    status: str
    uses_limit: int | None
    used_uses: int
    held_uses: int
    starts_at: str | None
    ends_at: str | None
    own_ends_at: str | None
    issued_at: str | None
    occasion: str | None
    holder: list[str]


class HappeningAnswer(Body):
    """One entry of a history: issued, locked, released, burned, adjusted, returned, restored, voided, unvoided,
    extended, refused or unchanged (a request for its order that changed nothing). `ends_at`: the new own end of an
    extended coupon. `reason`: why a request was refused or changed nothing. `message`: the same for people, or why the
    coupon was changed.
    """

    at: str
    what: str
    order_id: str | None
    lock_reference: str | None
    currency: str | None
    discount_amount: str | None
    reason: str | None
    message: str | None
    command_id: str
    shop_id: str | None
    ends_at: str | None
    campaign_id: str | None


class HoldAnswer(Body):
    """Uses that a lock currently holds."""

    lock_reference: str
    uses: int
    order_id: str | None
    expires_at: str
    shop_id: str | None


class CouponHistoryAnswer(Body):
    """The history of a code, oldest first. `coupon` is null for a code that was tried but never issued.

    `earlier_coupons`: those of archived campaigns that had the code until it was freed, newest first.
    """

    code: str
    coupon: CouponDetailsAnswer | None
    holds: list[HoldAnswer]
    happenings: list[HappeningAnswer]
    more: bool
    earlier_coupons: list[CouponDetailsAnswer]


@router.post(
    "/coupons",
    summary="Issue coupons",
    status_code=201,
    openapi_extra=takes(IssueBody, example=EXAMPLE),
    responses=responses_of(IssuedAnswer, 201) | {202: responses_of(JobAnswer, 202)[202]},
)
async def issue(
    request: Request,
    gateway: CurrentGateway,
    caller: CanIssue,
    body: Annotated[IssueBody, Depends(body_of(IssueBody))],
) -> Response:
    """Issue coupons for a customer (up to 100), or without a holder. More than 1,000 become a job (202)."""
    command_id = command_id_of(request)
    if (body.count or 0) > MAX_CREATED:
        return await start_job(gateway, caller, command_id, body.campaign_id, body.count or 0)
    command: IssueCoupons | CreateCoupons
    if body.customer is not None:
        source, name = command_id.rsplit(" ", 1)
        count = body.count or 1
        command = IssueCoupons(
            command_id,
            Cause(CAUSE, source, name),
            body.customer.to_domain(),
            (body.campaign_id,),
            natural_key=None if body.occasion is None else f"{CAUSE} {body.occasion}",
            several=((body.campaign_id, count),) if count > 1 else (),
        )
    else:
        count = 0 if body.codes else body.count or 1
        command = CreateCoupons(command_id, body.campaign_id, count, body.codes or (), channel=CHANNEL)
    verdict = await gateway.execute(command)
    if verdict.outcome == "refused":
        raise refusal(verdict)
    return json_response(
        {
            "outcome": verdict.outcome,
            "coupons": [
                {
                    "coupon_id": one.coupon_id,
                    "code": one.code or None,
                    "campaign_id": one.campaign_id,
                    "uses": one.uses,
                    "starts_at": moment(one.starts_at),
                    "ends_at": moment(one.ends_at),
                }
                for one in verdict.accepted
            ],
            "refused": [refused_coupon(one) for one in verdict.refused],
        },
        201,
    )


@router.get("/coupons/{code}", summary="Show a coupon", responses=responses_of(CouponDetailsAnswer))
async def show(gateway: CurrentGateway, _: CanRead, code: Code) -> Response:
    """Show the current state of a coupon."""
    history = await _history(gateway, code)
    if history.coupon is None:
        raise _unknown(code)
    return json_response(_details(history.coupon))


@router.get(
    "/coupons/{code}/history", summary="Show the history of a coupon", responses=responses_of(CouponHistoryAnswer)
)
async def history(request: Request, gateway: CurrentGateway, _: CanRead, code: Code) -> Response:
    """List the first 1,000 entries, including refused attempts and their reasons."""
    found = await _history(gateway, code)
    if found.coupon is None:
        report_unknown(request, 1)
    return json_response(
        {
            "code": found.code,
            "coupon": None if found.coupon is None else _details(found.coupon),
            "holds": [
                {
                    "lock_reference": hold.lock_reference,
                    "uses": hold.uses,
                    "order_id": hold.order_id,
                    "expires_at": moment(hold.expires_at),
                    "shop_id": hold.shop_id,
                }
                for hold in found.holds
            ],
            "happenings": [_happening(one) for one in found.happenings],
            "more": found.cut,
            "earlier_coupons": [_details(coupon) for coupon in found.earlier],
        }
    )


@router.post("/coupons/{code}/void", summary="Void a coupon", responses=responses_of(CouponDetailsAnswer))
async def void(request: Request, gateway: CurrentGateway, _: CanManage, code: Code) -> Response:
    """Take a coupon out of use. Redemptions stay as they are. Voiding again changes nothing."""
    return await _changed(gateway, code, VoidCoupon(command_id_of(request), code, CHANNEL))


@router.patch(
    "/coupons/{code}",
    summary="Change a coupon",
    openapi_extra=takes(CouponChangeBody, example=CHANGE_EXAMPLE),
    responses=responses_of(CouponDetailsAnswer),
)
async def change(
    request: Request,
    gateway: CurrentGateway,
    _: CanManage,
    code: Code,
    body: Annotated[CouponChangeBody, Depends(body_of(CouponChangeBody))],
) -> Response:
    """Undo a void, or move the coupon's own end. All changes are made or none. No change at all is refused."""
    command = ChangeCoupon(
        command_id_of(request),
        code,
        status=body.status,
        moves_end=body.moves_end,
        ends_at=body.ends_at,
        reason=body.reason,
        channel=CHANNEL,
    )
    return await _changed(gateway, code, command)


async def _changed(gateway: Gateway, code: str, command: VoidCoupon | ChangeCoupon) -> Response:
    verdict = await gateway.execute(command)
    if verdict.outcome == "refused":
        if any(one.reason is Reason.NOT_FOUND for one in verdict.refused):
            await _check_freed(gateway, code)
        raise refusal(verdict)
    found = await _history(gateway, code)
    if found.coupon is None:
        raise _unknown(code)
    return json_response(_details(found.coupon))


async def _check_freed(gateway: Gateway, code: str) -> None:
    """Raise a Problem that says so if the code was freed: its coupon is shown, but can't be changed any more."""
    coupon = (await _history(gateway, code)).coupon
    if coupon is not None and coupon.code_freed:
        detail = (
            f"The codes of the archived campaign {coupon.campaign_id!r} were freed, so coupon {coupon.code!r} can't be "
            "changed. Activate the campaign again first."
        )
        raise Problem(404, "not_found", detail)


async def _history(gateway: Gateway, code: str) -> queries.CouponHistory:
    async with gateway.pool.acquire() as connection:
        found = await queries.coupon_history(connection, code, tenants.groups())
    if found is None:
        raise _unknown(code)
    return found


def _unknown(code: str) -> Problem:
    return Problem(404, "not_found", f"Coupon {code.strip()!r} doesn't exist.")


def _details(coupon: queries.CouponDetails) -> dict[str, Any]:
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code,
        "campaign_id": coupon.campaign_id,
        "status": coupon.status,
        "uses_limit": coupon.uses_limit,
        "used_uses": coupon.used_uses,
        "held_uses": coupon.held_uses,
        "starts_at": moment(coupon.starts_at),
        "ends_at": moment(coupon.ends_at),
        "own_ends_at": moment(coupon.own_ends_at),
        "issued_at": moment(coupon.issued_at),
        "occasion": coupon.occasion,
        "holder": list(coupon.holder),
    }


def _happening(entry: queries.HistoryEntry) -> dict[str, Any]:
    minor = entry.held_minor if entry.kind in {"locked", "released"} else entry.used_minor
    if entry.kind == "adjusted":  # of a use that is held or redeemed
        minor = minor or entry.held_minor
    return {
        "at": moment(entry.at),
        "what": entry.kind,
        "order_id": entry.order_id,
        "lock_reference": entry.lock_reference,
        "currency": entry.currency,
        "discount_amount": amount(minor, entry.currency),
        "reason": entry.reason,
        "message": entry.message,
        "command_id": entry.command_id,
        "shop_id": entry.shop_id,
        "ends_at": moment(entry.ends_at),
        "campaign_id": entry.campaign_id,
    }
