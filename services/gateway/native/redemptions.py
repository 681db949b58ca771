"""Routes of the checkout: validate, explain, lock, burn, release and redeem coupons; cancel and return orders."""

from dataclasses import replace
from typing import Annotated, Any, Final

from fastapi import Depends, Request, Response

from services.gateway.gateway import CHANNEL, command_id_of, refusal
from services.gateway.guard import CanRedeem, CanValidate, CurrentGateway
from services.gateway.native import new_router
from services.gateway.native.bodies import (
    AskedBody,
    BurnBody,
    CancelBody,
    ChangeBody,
    ExplainBody,
    LockBody,
    PaymentFailedBody,
    RedeemBody,
    ReturnBody,
    ValidateBody,
    body_of,
    order_problem,
    shop_of,
    takes,
)
from services.gateway.native.explanations import ExplanationAnswer, explanation_document
from services.gateway.native.openapi import responses_of
from services.gateway.native.parameters import Name, ShopFilter
from services.gateway.native.responses import ValidationAnswer, VerdictAnswer, json_response, verdict_document
from services.gateway.problems import Problem
from services.gateway.threads import run_in_thread
from shared.domain.model.commands import LockCoupons, ReleaseLock
from shared.domain.model.ids import lock_reference, order_key
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, RedeemCoupons, ReturnOrder
from shared.domain.model.verdicts import Verdict
from shared.ledger.order_conversion import to_returned

router = new_router("checkout")

EXAMPLE: Final[dict[str, Any]] = {
    "codes": ["SAVE10"],
    "customer": {"customer_id": "customer_123"},
    "order": {"order_id": "ORD456", "currency": "USD", "amount": "125.00"},
}


@router.post(
    "/validate",
    summary="Validate coupons without changing anything",
    openapi_extra=takes(ValidateBody, example=EXAMPLE),
    responses=responses_of(ValidationAnswer),
)
async def validate(
    request: Request,
    gateway: CurrentGateway,
    _: CanValidate,
    body: Annotated[ValidateBody, Depends(body_of(ValidateBody))],
) -> Response:
    """Return the result that redeeming these codes would have now. A refusal is a 200 with `valid`: false."""
    verdict = await gateway.validate(_command(request, body, body.codes, atomic=body.atomic))

    def render() -> Response:
        document = verdict_document(verdict)
        del document["redemption_id"], document["lock_reference"], document["expires_at"], document["why"]
        return json_response(document | {"outcome": "refused" if verdict.outcome == "refused" else "good"})

    return await run_in_thread(_line_count(verdict), render)


@router.post(
    "/explain",
    summary="Explain every rule for one code",
    openapi_extra=takes(ExplainBody, example={"code": "SAVE10", "order": EXAMPLE["order"]}),
    responses=responses_of(ExplanationAnswer),
)
async def explain(
    request: Request,
    gateway: CurrentGateway,
    _: CanValidate,
    body: Annotated[ExplainBody, Depends(body_of(ExplainBody))],
) -> Response:
    """Return every rule, not only the first that refuses: whether it passes for this order, and the numbers it saw."""
    explanation = await gateway.explain(_command(request, body, (body.code,), atomic=False))
    return json_response(explanation_document(explanation))


@router.post(
    "/locks",
    summary="Lock coupons for a customer or an order",
    status_code=201,
    openapi_extra=takes(LockBody, example=EXAMPLE | {"lock_seconds": 900}),
    responses=responses_of(VerdictAnswer, 201),
)
async def lock(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    body: Annotated[LockBody, Depends(body_of(LockBody))],
) -> Response:
    """Lock all codes or none, until `expires_at`. A lock with the same `lock_reference` is replaced."""
    command_id = command_id_of(request)
    command = LockCoupons(
        command_id,
        body.lock_reference or lock_reference(command_id),
        body.codes,
        lock_seconds=body.lock_seconds or gateway.settings.lock_seconds,
        customer=body.command_customer,
        order=_order(body, body.shop_id),
        order_id=body.order_key,
        channel=CHANNEL,
        validation_code=body.validation_code,
    )
    gateway.weigh(command)
    return await _render(await gateway.execute(command), 201)


@router.post("/locks/{lock_reference}/release", summary="Release a lock", responses=responses_of(VerdictAnswer))
async def release(request: Request, gateway: CurrentGateway, _: CanRedeem, lock_reference: Name) -> Response:
    """Make the locked uses available to others at once. Releasing a lock again changes nothing."""
    return await _render(await gateway.execute(ReleaseLock(command_id_of(request), lock_reference, CHANNEL)))


@router.delete("/locks/{lock_reference}", summary="Release a lock", responses=responses_of(VerdictAnswer))
async def release_too(request: Request, gateway: CurrentGateway, _: CanRedeem, lock_reference: Name) -> Response:
    """Release the lock, as `POST /v1/locks/{lock_reference}/release` does."""
    return await _render(await gateway.execute(ReleaseLock(command_id_of(request), lock_reference, CHANNEL)))


@router.post(
    "/locks/{lock_reference}/burn",
    summary="Redeem the coupons of a lock",
    openapi_extra=takes(BurnBody, example={"order_id": "ORD456"}),
    responses=responses_of(VerdictAnswer),
)
async def burn(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    lock_reference: Name,
    body: Annotated[BurnBody, Depends(body_of(BurnBody))],
) -> Response:
    """Redeem on an order. With `order`, the rules are checked again; without it, the discount is the lock's."""
    shop_id = shop_of(body.shop_id, body.order)
    order = Order(order_key(shop_id, body.order_id), gateway.settings.currency, 0)
    if body.order is not None:
        asked = AskedBody(order=body.order.model_copy(update={"order_id": body.order_id}))
        order = _order(asked, shop_id) or order
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
    return await _render(await gateway.execute(command))


@router.post(
    "/redemptions",
    summary="Redeem coupons on an order",
    openapi_extra=takes(RedeemBody, example=EXAMPLE),
    responses=responses_of(VerdictAnswer),
)
async def redeem(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    body: Annotated[RedeemBody, Depends(body_of(RedeemBody))],
) -> Response:
    """Validate and redeem, all codes or none by default. Repeating the same order changes nothing."""
    command = _command(request, body, body.codes, atomic=body.atomic, reference=body.lock_reference)
    gateway.weigh(command)
    return await _render(await gateway.execute(command))


@router.put(
    "/orders/{order_id}",
    summary="Change an order and judge its coupons again",
    openapi_extra=takes(ChangeBody, example=EXAMPLE),
    responses=responses_of(VerdictAnswer),
)
async def change(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    order_id: Name,
    body: Annotated[ChangeBody, Depends(body_of(ChangeBody))],
    shop_id: ShopFilter = None,
) -> Response:
    """State the whole order as it is now. Coupons that it names keep their use, with the discount on the new order.

    Coupons that it no longer names, or that are no longer good, are restored or released. The same content again
    changes nothing. An order that isn't known yet is placed.
    """
    if body.order is None:
        raise Problem(422, "invalid_request", "order: is required.")
    if body.order.order_id not in (None, order_id):
        raise Problem(422, "invalid_request", "order.order_id: is not the order in the path; leave it out.")
    shop_id = _shop(shop_id, body.order.shop_id)
    key = order_key(shop_id, order_id)
    order = replace(_order(body, shop_id) or Order(key, body.order.currency, 0), order_id=key, placed_at=None)
    command = RedeemCoupons(
        command_id_of(request), order, body.codes, body.command_customer, body.lock_reference, body.atomic,
        at=body.changed_at, channel=CHANNEL, validation_code=body.validation_code, complete=True, changed=True,
    )  # fmt: skip
    gateway.weigh(command)
    return await _render(await gateway.execute(command))


@router.post(
    "/orders/{order_id}/payment-failed",
    summary="Release what an unpaid order holds",
    openapi_extra=takes(PaymentFailedBody, optional=True),
    responses=responses_of(VerdictAnswer),
)
async def payment_failed(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    order_id: Name,
    body: Annotated[PaymentFailedBody, Depends(body_of(PaymentFailedBody, optional=True))],
    shop_id: ShopFilter = None,
) -> Response:
    """Release the coupons that the order holds until its payment. If it is paid after all, they are judged again."""
    key = order_key(_shop(shop_id, body.shop_id), order_id)
    return await _render(await gateway.execute(FailPayment(command_id_of(request), key, body.failed_at, CHANNEL)))


@router.post(
    "/orders/{order_id}/cancel",
    summary="Cancel an order and restore its coupons",
    openapi_extra=takes(CancelBody, optional=True),
    responses=responses_of(VerdictAnswer),
)
async def cancel(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    order_id: Name,
    body: Annotated[CancelBody, Depends(body_of(CancelBody, optional=True))],
    shop_id: ShopFilter = None,
) -> Response:
    """Restore the coupons whose campaigns restore on `order.cancelled`, and release what the order holds."""
    key = order_key(_shop(shop_id, body.shop_id), order_id)
    command = CancelOrder(command_id_of(request), key, body.cancelled_at, CHANNEL)
    return await _render(await gateway.execute(command))


@router.post(
    "/orders/{order_id}/return",
    summary="Return an order, whole or in part",
    openapi_extra=takes(ReturnBody, optional=True),
    responses=responses_of(VerdictAnswer),
)
async def return_order(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
    order_id: Name,
    body: Annotated[ReturnBody, Depends(body_of(ReturnBody, optional=True))],
    shop_id: ShopFilter = None,
) -> Response:
    """Return the share of the discount for the returned part. Uses are restored once the whole order is returned."""
    try:
        returned = to_returned(body.lines or ())
    except MoneyError as error:
        raise order_problem(error, "") from None
    command = ReturnOrder(
        command_id_of(request),
        order_key(_shop(shop_id, body.shop_id), order_id),
        whole=not body.lines and body.amount is None and body.refunded_amount is None,
        at=body.returned_at,
        channel=CHANNEL,
        lines=returned,
        amount=None if body.lines else body.amount,
        return_id=body.return_id,
        refunded_amount=None if body.lines or body.amount is not None else body.refunded_amount,
    )
    return await _render(await gateway.execute(command))


def _command(
    request: Request, body: AskedBody, codes: tuple[str, ...], *, atomic: bool, reference: str | None = None
) -> RedeemCoupons | LockCoupons:
    """Return the command to validate: a redemption with an order, a lock without one."""
    command_id = command_id_of(request)
    order = _order(body)
    if order is None:
        return LockCoupons(
            command_id, lock_reference(command_id), codes, 1, body.command_customer, channel=CHANNEL,
            validation_code=body.validation_code,
        )  # fmt: skip
    return RedeemCoupons(
        command_id, order, codes, body.command_customer, reference, atomic,
        at=order.placed_at, channel=CHANNEL, validation_code=body.validation_code,
    )  # fmt: skip


def _order(body: AskedBody, shop_id: str | None = None) -> Order | None:
    """Return the order of `body`; `shop_id`: its shop, if it doesn't name one itself."""
    order = body.order
    if shop_id and order is not None:
        order = order.model_copy(update={"shop_id": shop_id})
    try:
        return None if order is None else order.to_domain()
    except MoneyError as error:
        raise order_problem(error) from None


def _shop(queried: str | None, stated: str | None) -> str | None:
    """Return the shop that the query or the body names. Raises a Problem if they differ."""
    if queried and stated and queried != stated:
        raise Problem(422, "invalid_request", "shop_id: differs in the query and the body; give only one of the two.")
    return queried or stated


async def _render(verdict: Verdict, status: int = 200) -> Response:
    """Render the verdict. Raises a Problem for a refusal."""
    if verdict.outcome == "refused":
        raise refusal(verdict)
    return await run_in_thread(_line_count(verdict), lambda: json_response(verdict_document(verdict), status))


def _line_count(verdict: Verdict) -> int:
    """Return how many discounts on lines a response lists."""
    return sum([len(coupon.lines) for coupon in verdict.accepted])
