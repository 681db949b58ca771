"""Coupons at the checkout: validate, explain, lock, burn, release, redeem, and what becomes of the order."""

from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from services.gateway.aside import aside
from services.gateway.gateway import CHANNEL, command_id_of, refusal
from services.gateway.guard import Here, MayRedeem, MayValidate
from services.gateway.native import new_router
from services.gateway.native.answers import ValidationAnswer, VerdictAnswer, answer, verdict_document
from services.gateway.native.bodies import (
    AskedBody,
    BurnBody,
    CancelBody,
    ExplainBody,
    LockBody,
    RedeemBody,
    ReturnBody,
    ValidateBody,
    body_of,
    order_problem,
    takes,
)
from services.gateway.native.explanations import ExplanationAnswer, explanation_document
from services.gateway.native.openapi import told
from services.gateway.native.parameters import Name
from shared.domain.model.commands import CancelOrder, LockCoupons, RedeemCoupons, ReleaseLock, ReturnOrder
from shared.domain.model.ids import lock_reference
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.domain.model.verdicts import Verdict

router = new_router("checkout")

EXAMPLE: Final[dict[str, Any]] = {
    "codes": ["SAVE10"],
    "customer": {"customer_id": "customer_123"},
    "order": {"order_id": "ORD456", "currency": "USD", "amount": "125.00"},
}


@router.post(
    "/validate",
    summary="Judge coupons without changing anything",
    openapi_extra=takes(ValidateBody, example=EXAMPLE),
    responses=told(ValidationAnswer),
)
async def validate(
    request: Request,
    gateway: Here,
    _: MayValidate,
    body: Annotated[ValidateBody, Depends(body_of(ValidateBody))],
) -> Response:
    """What redeeming these codes would come to now. A refusal is an answer here (`valid`: false), not a problem."""
    verdict = await gateway.validate(_asked(request, body, body.codes, atomic=body.atomic))

    def render() -> Response:
        document = verdict_document(verdict)
        del document["redemption_id"], document["lock_reference"], document["expires_at"]
        return answer(document | {"outcome": "refused" if verdict.outcome == "refused" else "good"})

    return await aside(_parts(verdict), render)


@router.post(
    "/explain",
    summary="Every rule for one code, with what it saw",
    openapi_extra=takes(ExplainBody, example={"code": "SAVE10", "order": EXAMPLE["order"]}),
    responses=told(ExplanationAnswer),
)
async def explain(
    request: Request,
    gateway: Here,
    _: MayValidate,
    body: Annotated[ExplainBody, Depends(body_of(ExplainBody))],
) -> Response:
    """Not just the first refusal: each rule, whether it holds for this order now, and the numbers behind it."""
    explanation = await gateway.explain(_asked(request, body, (body.code,), atomic=False))
    return answer(explanation_document(explanation))


@router.post(
    "/locks",
    summary="Hold coupons for a customer or an order",
    status_code=201,
    openapi_extra=takes(LockBody, example=EXAMPLE | {"lock_seconds": 900}),
    responses=told(VerdictAnswer, 201),
)
async def lock(
    request: Request,
    gateway: Here,
    _: MayRedeem,
    body: Annotated[LockBody, Depends(body_of(LockBody))],
) -> Response:
    """All or nothing, until `expires_at`. The same `lock_reference` again replaces what it holds."""
    command_id = command_id_of(request)
    command = LockCoupons(
        command_id,
        body.lock_reference or lock_reference(command_id),
        body.codes,
        body.lock_seconds or gateway.settings.lock_seconds,
        body.who,
        _order(body),
        body.order_id or (None if body.order is None else body.order.order_id),
        CHANNEL,
        body.validation_code,
    )
    gateway.weigh(command)
    return await _told(await gateway.execute(command), 201)


@router.post("/locks/{lock_reference}/release", summary="Let a lock go", responses=told(VerdictAnswer))
async def release(request: Request, gateway: Here, _: MayRedeem, lock_reference: Name) -> Response:
    """What it holds can be used by others at once. Letting go twice is letting go once."""
    return await _told(await gateway.execute(ReleaseLock(command_id_of(request), lock_reference, CHANNEL)))


@router.delete("/locks/{lock_reference}", summary="Let a lock go", responses=told(VerdictAnswer))
async def release_too(request: Request, gateway: Here, _: MayRedeem, lock_reference: Name) -> Response:
    """The same as releasing it."""
    return await _told(await gateway.execute(ReleaseLock(command_id_of(request), lock_reference, CHANNEL)))


@router.post(
    "/locks/{lock_reference}/burn",
    summary="Use what a lock holds",
    openapi_extra=takes(BurnBody, example={"order_id": "ORD456"}),
    responses=told(VerdictAnswer),
)
async def burn(
    request: Request,
    gateway: Here,
    _: MayRedeem,
    lock_reference: Name,
    body: Annotated[BurnBody, Depends(body_of(BurnBody))],
) -> Response:
    """With `order` the rules of orders are judged anew; without it the discount is what the lock held."""
    order = Order(body.order_id, gateway.settings.currency, 0)
    if body.order is not None:
        order = _order(AskedBody(order=body.order.model_copy(update={"order_id": body.order_id}))) or order
    command = RedeemCoupons(
        command_id_of(request),
        order,
        customer=None if body.customer is None else body.customer.to_domain(),
        lock_reference=lock_reference,
        atomic=True,
        at=order.placed_at,
        channel=CHANNEL,
        validation_code=body.validation_code,
        priced=body.order is not None,
    )
    return await _told(await gateway.execute(command))


@router.post(
    "/redemptions",
    summary="Redeem coupons on an order",
    openapi_extra=takes(RedeemBody, example=EXAMPLE),
    responses=told(VerdictAnswer),
)
async def redeem(
    request: Request,
    gateway: Here,
    _: MayRedeem,
    body: Annotated[RedeemBody, Depends(body_of(RedeemBody))],
) -> Response:
    """Judge and use, all or nothing by default. The same order again changes nothing that stands."""
    command = _asked(request, body, body.codes, atomic=body.atomic)
    gateway.weigh(command)
    return await _told(await gateway.execute(command))


@router.post(
    "/orders/{order_id}/cancel",
    summary="An order was cancelled: restore its coupons",
    openapi_extra=takes(CancelBody, optional=True),
    responses=told(VerdictAnswer),
)
async def cancel(
    request: Request,
    gateway: Here,
    _: MayRedeem,
    order_id: Name,
    body: Annotated[CancelBody, Depends(body_of(CancelBody, optional=True))],
) -> Response:
    """Restores what the campaigns restore on `order.cancelled`, and lets go what the order holds."""
    command = CancelOrder(command_id_of(request), order_id, body.cancelled_at, CHANNEL)
    return await _told(await gateway.execute(command))


@router.post(
    "/orders/{order_id}/return",
    summary="An order came back, whole or in part",
    openapi_extra=takes(ReturnBody, optional=True),
    responses=told(VerdictAnswer),
)
async def return_order(
    request: Request,
    gateway: Here,
    _: MayRedeem,
    order_id: Name,
    body: Annotated[ReturnBody, Depends(body_of(ReturnBody, optional=True))],
) -> Response:
    """A part gives back its share of the discount; the use is restored when all of the order has come back."""
    command = ReturnOrder(
        command_id_of(request),
        order_id,
        whole=not body.lines and body.amount is None,
        at=body.returned_at,
        channel=CHANNEL,
        lines=tuple([(line.line_id, line.quantity) for line in body.lines or ()]),
        amount=None if body.lines else body.amount,
    )
    return await _told(await gateway.execute(command))


def _asked(request: Request, body: AskedBody, codes: tuple[str, ...], *, atomic: bool) -> RedeemCoupons | LockCoupons:
    """The question as a command: of an order where one is told, else of what needs none."""
    command_id = command_id_of(request)
    order = _order(body)
    if order is None:
        return LockCoupons(
            command_id, lock_reference(command_id), codes, 1, body.who, channel=CHANNEL,
            validation_code=body.validation_code,
        )  # fmt: skip
    return RedeemCoupons(
        command_id, order, codes, body.who, getattr(body, "lock_reference", None), atomic, at=order.placed_at,
        channel=CHANNEL, validation_code=body.validation_code,
    )  # fmt: skip


def _order(body: AskedBody) -> Order | None:
    try:
        return None if body.order is None else body.order.to_domain()
    except MoneyError as error:
        raise order_problem(error) from None


async def _told(verdict: Verdict, status: int = 200) -> Response:
    """The verdict, or its refusal as a problem."""
    if verdict.outcome == "refused":
        raise refusal(verdict)
    return await aside(_parts(verdict), lambda: answer(verdict_document(verdict), status))


def _parts(verdict: Verdict) -> int:
    """How many shares of lines an answer lists."""
    return sum([len(coupon.lines) for coupon in verdict.accepted])
