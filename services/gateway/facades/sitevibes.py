"""SiteVibes asks for a coupon code when a customer takes a reward: `POST {base}/coupon-manager/{campaign}`.

It reads two things: whether the status is 200 to 299, and `coupon_code`. A refusal is any other status, so that no
reward is created.
"""

from typing import Annotated, Final

from fastapi import Depends, FastAPI, Request, Response

from schemas.common import Contact
from services.gateway import tenants
from services.gateway.access.callers import Caller, unauthorized
from services.gateway.access.identify import by_key, identify
from services.gateway.access.keys import PATTERN
from services.gateway.facades.facade import json_response, new_facade, new_router
from services.gateway.facades.vendor_codes import VENDOR_CODES
from services.gateway.gateway import Gateway, command_id_of, refusal
from services.gateway.guard import Here, MayIssue
from services.gateway.native.bodies import Body, body_of
from services.gateway.native.parameters import Name
from services.gateway.problems import Problem
from shared.domain.model.commands import Cause, IssueCoupons
from shared.domain.model.customer import Customer, identifiers

router = new_router()

CAUSE: Final = "sitevibes.reward"


class RewardBody(Body):
    """Who took the reward. Fields that SiteVibes may add later are ignored."""

    model_config = Body.model_config | {"extra": "ignore"}

    email: Contact

    def mistake(self) -> str | None:
        return None if "@" in self.email else "email: is no e-mail address."


@router.post("/coupon-manager/{campaign}")
async def issue(
    request: Request,
    campaign: Name,
    gateway: Here,
    _: MayIssue,
    body: Annotated[RewardBody, Depends(body_of(RewardBody))],
) -> Response:
    """A new coupon at every call; an empty code where the campaign's coupons have none."""
    customer = Customer(email=body.email)
    if not identifiers(customer):
        raise Problem(422, "invalid_request", "email: is no e-mail address.")
    found = await tenants.campaign(gateway, campaign)
    if found is not None and found.definition.code.shared_code is not None:
        raise Problem(
            422, "conflict", f"Campaign {campaign!r} has one code for everybody, and SiteVibes takes a code only once; "
            "use a campaign with a code of its own for each coupon.",
        )  # fmt: skip
    command_id = command_id_of(request)
    source, name = command_id.rsplit(" ", 1)
    verdict = await gateway.execute(IssueCoupons(command_id, Cause(CAUSE, source, name), customer, (campaign,)))
    if not verdict.accepted:
        raise refusal(verdict)
    return json_response({"coupon_code": verdict.accepted[0].code or ""})


async def _identify(request: Request, gateway: Gateway) -> Caller:
    """Whatever header was configured there: the first that holds a key."""
    for value in request.headers.values():
        key = value.removeprefix("Bearer ").strip()
        if PATTERN.fullmatch(key):
            return await by_key(request, gateway, key)
    if "authorization" in request.headers:
        return await identify(request, gateway)
    raise unauthorized("No request header holds an API key; add one where the reward's API is configured.")


def _tell(request: Request, problem: Problem) -> Response:
    codes = VENDOR_CODES.get(problem.code)
    status = codes.sitevibes if codes is not None and "reason" in problem.details else problem.status
    return json_response({"error": problem.code, "message": problem.detail}, status, problem.headers)


def create(gateway: Gateway) -> FastAPI:
    """The facade, to be mounted under its base path."""
    return new_facade("SiteVibes coupon API", gateway, router, _identify, _tell)
