"""SiteVibes' coupon API: it requests a code when a customer takes a reward, `POST {base}/coupon-manager/{campaign}`.

SiteVibes reads only the status and `coupon_code`. It creates no reward unless the status is 200 to 299, so a refusal
has any other status.
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
from services.gateway.guard import CanIssue, CurrentGateway
from services.gateway.native.bodies import Body, body_of
from services.gateway.native.parameters import Name
from services.gateway.problems import Problem
from shared.domain.model.commands import Cause, IssueCoupons
from shared.domain.model.customer import Customer, identifiers

router = new_router()

CAUSE: Final = "sitevibes.reward"


class RewardBody(Body):
    """The customer who took the reward. Unknown fields are ignored, because SiteVibes may add some."""

    model_config = Body.model_config | {"extra": "ignore"}

    email: Contact

    def mistake(self) -> str | None:
        return None if "@" in self.email else "email: must be an email address."


@router.post("/coupon-manager/{campaign}")
async def issue(
    request: Request,
    campaign: Name,
    gateway: CurrentGateway,
    _: CanIssue,
    body: Annotated[RewardBody, Depends(body_of(RewardBody))],
) -> Response:
    """Issue a new coupon at every call. The code is empty if the campaign's coupons have none."""
    customer = Customer(email=body.email)
    if not identifiers(customer, gateway.identity):
        raise Problem(422, "invalid_request", "email: must be an email address.")
    found = await tenants.campaign(gateway, campaign)
    if found is not None and found.definition.code.shared_code is not None:
        raise Problem(
            422, "conflict", f"Campaign {campaign!r} has one shared code, but SiteVibes accepts each code only once; "
            "use a campaign with a separate code for each coupon.",
        )  # fmt: skip
    command_id = command_id_of(request)
    source, name = command_id.rsplit(" ", 1)
    verdict = await gateway.execute(IssueCoupons(command_id, Cause(CAUSE, source, name), customer, (campaign,)))
    if not verdict.accepted:
        raise refusal(verdict)
    return json_response({"coupon_code": verdict.accepted[0].code or ""})


async def _identify(request: Request, gateway: Gateway) -> Caller:
    """Return the caller of the first header with an API key, because SiteVibes' users choose the header's name."""
    for value in request.headers.values():
        key = value.removeprefix("Bearer ").strip()
        if PATTERN.fullmatch(key):
            return await by_key(request, gateway, key)
    if "authorization" in request.headers:
        return await identify(request, gateway)
    raise unauthorized("no header has an API key; add one in the configuration of the reward's API.")


def _render_problem(request: Request, problem: Problem) -> Response:
    codes = VENDOR_CODES.get(problem.code)
    status = codes.sitevibes if codes is not None and "reason" in problem.details else problem.status
    return json_response({"error": problem.code, "message": problem.detail}, status, problem.headers)


def create(gateway: Gateway) -> FastAPI:
    """Create the facade, to be mounted under its base path."""
    return new_facade("SiteVibes coupon API", gateway, router, _identify, _render_problem)
