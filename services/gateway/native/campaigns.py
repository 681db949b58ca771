"""Routes of campaigns: create, list, show, change, pause, resume, archive, plan."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

import asyncpg
from fastapi import Depends, Query, Response

from schemas.campaigns import CampaignDefinition
from services.gateway import tenants
from services.gateway.gateway import Gateway
from services.gateway.guard import CanManage, CanRead, CurrentGateway
from services.gateway.native import new_router
from services.gateway.native.bodies import Body, body_of, moment, takes
from services.gateway.native.openapi import responses_of
from services.gateway.native.pages import Cursor, Limit, decode_cursor, page
from services.gateway.native.parameters import Name
from services.gateway.native.responses import json_response
from services.gateway.problems import Problem
from shared.ledger import freeing, lookalikes, planning, queries
from shared.ledger.campaigns import CampaignExistsError
from shared.ledger.definitions import DefinitionError
from shared.ledger.planning import Planned
from shared.ledger.secrets import has_secrets, masked
from shared.ledger.shared_codes import CodeTakenError

router = new_router("campaigns")

Status = Literal["active", "paused", "archived"]

MAX_FREED: Final = 50_000
"""Codes freed in one request, in a few seconds."""

_TAKEN: Final = "code.shared_code: another coupon already has this code; choose another one."

EXAMPLE: Final[dict[str, Any]] = {
    "campaign_id": "save10",
    "name": "Ten percent off",
    "discount": {"kind": "percentage", "value": "10", "max_discount": "50.00"},
    "eligibility": {"min_order_amount": "20.00", "currency": "USD"},
    "limits": {"uses_per_coupon": 1},
}


class CampaignAnswer(Body):
    """A campaign with its definition. `change`: created, changed, unchanged.

    `warnings`: sentences about a shared code that customers may mistake for another. `freed_codes`: the number of codes
    that this request freed; `more_codes`: there are more, so send the request again.
    """

    campaign_id: str
    status: str
    definition: CampaignDefinition
    created_at: str | None = None
    updated_at: str | None = None
    change: str | None = None
    counts: dict[str, int] | None = None
    warnings: list[str] | None = None
    freed_codes: int | None = None
    more_codes: bool | None = None


class CampaignsAnswer(Body):
    """A page of campaigns, sorted by id."""

    items: list[CampaignAnswer]
    next_cursor: str | None


class FieldChangeAnswer(Body):
    """One field that would change."""

    field: str
    before: Any
    after: Any


class EffectAnswer(Body):
    """An effect of a change on live coupons."""

    field: str
    message: str


class PlanAnswer(Body):
    """The changes that saving a campaign would make. `conflict`: why it would be refused.

    `warnings`: sentences about a shared code that customers may mistake for another.
    """

    campaign_id: str
    change: str
    fields: list[FieldChangeAnswer]
    effects: list[Any]
    conflict: str | None
    warnings: list[str]


@router.post(
    "/campaigns",
    summary="Create a campaign",
    status_code=201,
    openapi_extra=takes(CampaignDefinition, example=EXAMPLE),
    responses=responses_of(CampaignAnswer, 201),
)
async def create(
    gateway: CurrentGateway, _: CanManage, body: Annotated[CampaignDefinition, Depends(body_of(CampaignDefinition))]
) -> Response:
    """Create a campaign; docs/rules.md describes all fields. If the id exists, the response is a conflict (409)."""
    try:
        body = await tenants.save(gateway, body, new=True)
    except CampaignExistsError as error:
        raise Problem(409, "conflict", str(error)) from None
    except (DefinitionError, asyncpg.UniqueViolationError) as error:
        raise problem_of(body, error) from None
    warnings = await _warnings(gateway, body)
    return json_response(_document(body) | {"change": "created", "warnings": warnings}, 201)


async def _warnings(gateway: Gateway, definition: CampaignDefinition) -> Sequence[str]:
    async with gateway.pool.acquire() as connection:
        found = await lookalikes.warnings(connection, [definition], tenants.groups())
    return found.get(definition.campaign_id, ())


@router.get("/campaigns", summary="List campaigns", responses=responses_of(CampaignsAnswer))
async def list_all(
    gateway: CurrentGateway,
    _: CanRead,
    *,
    status: Annotated[Status | None, Query(description="only campaigns with this status")] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List campaigns in pages, sorted by id."""
    after = decode_cursor(cursor, str)
    async with gateway.pool.acquire() as connection:
        found = await queries.campaigns_after(
            connection, after[0] if after else None, limit + 1, status, tenants.groups()
        )
    documents = [_line(one) for one in found]
    return json_response(page(documents, limit, found[min(limit, len(found)) - 1].campaign_id if found else ""))


@router.get("/campaigns/{campaign_id}", summary="Show a campaign", responses=responses_of(CampaignAnswer))
async def show(gateway: CurrentGateway, _: CanRead, campaign_id: Name) -> Response:
    """Show a campaign with the counts of its coupons and their uses."""
    found = await tenants.campaign(gateway, campaign_id)
    if found is None:
        raise _unknown(campaign_id)
    async with gateway.pool.acquire() as connection:
        counts = await queries.campaign_counts(connection, campaign_id)
    numbers = {name: getattr(counts, name) for name in ("coupons", "pooled", "voided", "held_uses", "used_uses")}
    return json_response(_line(found) | {"counts": numbers})


@router.put(
    "/campaigns/{campaign_id}",
    summary="Change a campaign",
    openapi_extra=takes(CampaignDefinition, example=EXAMPLE),
    responses=responses_of(CampaignAnswer),
)
async def change(
    gateway: CurrentGateway,
    _: CanManage,
    campaign_id: Name,
    body: Annotated[CampaignDefinition, Depends(body_of(CampaignDefinition))],
) -> Response:
    """Replace the whole definition. Raised limits make exhausted coupons usable again; lowered limits don't affect
    existing redemptions.
    """
    _check_path(body, campaign_id)
    return await _changed(gateway, campaign_id, lambda _: body)


@router.post("/campaigns/{campaign_id}/pause", summary="Pause a campaign", responses=responses_of(CampaignAnswer))
async def pause(gateway: CurrentGateway, _: CanManage, campaign_id: Name) -> Response:
    """Stop issuing and redeeming until the campaign is resumed. Existing locks can still be burned."""
    return await _changed(gateway, campaign_id, lambda before: before.model_copy(update={"status": "paused"}))


@router.post("/campaigns/{campaign_id}/resume", summary="Resume a campaign", responses=responses_of(CampaignAnswer))
async def resume(gateway: CurrentGateway, _: CanManage, campaign_id: Name) -> Response:
    """Make a paused or archived campaign active again."""
    return await _changed(gateway, campaign_id, lambda before: before.model_copy(update={"status": "active"}))


@router.post("/campaigns/{campaign_id}/archive", summary="Archive a campaign", responses=responses_of(CampaignAnswer))
async def archive(
    gateway: CurrentGateway,
    _: CanManage,
    campaign_id: Name,
    *,
    free_codes: Annotated[bool, Query(description="free the codes, so that a later campaign can use them")] = False,
) -> Response:
    """Stop issuing and redeeming, as pausing does, for a campaign that has ended.

    `free_codes` frees up to 50,000 codes per request. The campaign can only be resumed while no other campaign has one.
    """
    changed = await _change(gateway, campaign_id, lambda before: before.model_copy(update={"status": "archived"}))
    if not free_codes:
        return json_response(changed)
    try:
        freed = await freeing.free_codes(gateway.pool, campaign_id, MAX_FREED)
    except freeing.NotArchivedError as error:
        raise Problem(409, "conflict", str(error)) from None
    return json_response(changed | {"freed_codes": freed.codes, "more_codes": freed.more})


@router.post(
    "/campaigns/{campaign_id}/plan",
    summary="Plan creating or changing a campaign",
    openapi_extra=takes(CampaignDefinition, example=EXAMPLE),
    responses=responses_of(PlanAnswer),
)
async def plan(
    gateway: CurrentGateway,
    caller: CanRead,
    campaign_id: Name,
    body: Annotated[CampaignDefinition, Depends(body_of(CampaignDefinition))],
) -> Response:
    """Return every changed field, and the effects on live coupons. Nothing is changed.

    Without the scope `manage`, leave secrets out or send them masked as they are read; otherwise a key could find
    secrets by comparing.
    """
    _check_path(body, campaign_id)
    if has_secrets(body):
        caller.require_scope("manage")
    planned = await _planned(gateway, tenants.grouped(body))
    return json_response(
        {
            "campaign_id": planned.campaign_id,
            "change": planned.change,
            "fields": planned.fields,
            "effects": planned.effects,
            "conflict": planned.conflict,
            "warnings": planned.warnings,
        }
    )


async def _planned(gateway: Gateway, definition: CampaignDefinition) -> Planned:
    """Return the plan, limited to the campaigns that the caller may see. Raises a Problem."""
    async with gateway.pool.acquire() as connection, connection.transaction(readonly=True):
        try:
            [planned] = await planning.plan(connection, [definition], tenants.groups())
        except DefinitionError as error:
            raise problem_of(definition, error) from None
    if tenants.groups() is None:
        return planned
    conflict = None if planned.conflict is None else _TAKEN
    if planned.change != "created" and await tenants.campaign(gateway, definition.campaign_id) is None:
        return Planned(definition.campaign_id, "created", conflict=conflict, warnings=planned.warnings)
    return replace(planned, conflict=conflict)


def _check_path(body: CampaignDefinition, campaign_id: str) -> None:
    if body.campaign_id != campaign_id:
        raise Problem(
            422, "invalid_request", f"campaign_id: is {body.campaign_id!r}, but the path has {campaign_id!r}."
        )


async def _changed(gateway: Gateway, campaign_id: str, to: Any) -> Response:
    return json_response(await _change(gateway, campaign_id, to))


async def _change(gateway: Gateway, campaign_id: str, to: Any) -> dict[str, Any]:
    try:
        changed = await tenants.change(gateway, campaign_id, to)
    except (DefinitionError, asyncpg.UniqueViolationError) as error:
        raise problem_of(None, error) from None
    if changed is None:
        raise _unknown(campaign_id)
    definition, saved = changed
    warnings = await _warnings(gateway, definition)
    return _document(definition) | {"change": saved.change, "warnings": warnings}


def problem_of(definition: CampaignDefinition | None, error: Exception) -> Problem:
    """Return the problem for a definition that can't be saved."""
    if isinstance(error, CodeTakenError) and tenants.groups() is None:
        return Problem(409, "code_taken", str(error))
    if isinstance(error, asyncpg.UniqueViolationError):
        code = None if definition is None else definition.code.shared_code
        which = "The shared code" if code is None else f"The code {code!r}"
        return Problem(409, "code_taken", f"{which} is already used by another coupon; choose another one.")
    return Problem(422, "invalid_request", str(error))


def _unknown(campaign_id: str) -> Problem:
    return Problem(404, "not_found", f"Campaign {campaign_id!r} doesn't exist.")


def _line(found: queries.CampaignLine) -> dict[str, Any]:
    return _document(found.definition) | {
        "created_at": moment(found.created_at),
        "updated_at": moment(found.updated_at),
    }


def _document(definition: CampaignDefinition) -> dict[str, Any]:
    shown = masked(definition).model_dump(mode="json")
    return {"campaign_id": definition.campaign_id, "status": definition.status, "definition": shown}
