"""Campaigns as the caller of the request at hand sees them: one bound to groups sees no other campaigns.

Routes reach campaigns through here, commands go through `bound`, lists and reports give `groups()` to their SQL. Who
the caller is comes from the guard, so a route has nothing to remember.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from schemas.campaigns import CampaignDefinition
from services.gateway.access.callers import CALLING, Caller, groups_at_hand
from services.gateway.problems import Problem
from shared.domain.model.commands import Command
from shared.ledger import campaigns, queries
from shared.ledger.campaigns import Saved
from shared.ledger.queries import CampaignLine

if TYPE_CHECKING:
    from services.gateway.gateway import Gateway

SomeCommand = TypeVar("SomeCommand", bound=Command)


class _HiddenError(Exception):
    """The campaign is of a group that the caller isn't bound to."""


def groups() -> list[str] | None:
    """The caller's groups as SQL takes them; NULL asks nothing."""
    bound_to = groups_at_hand()
    return None if bound_to is None else sorted(bound_to)


def sees(group: str | None) -> bool:
    """Whether campaigns of this group exist for the caller."""
    caller = CALLING.get()
    return caller is None or caller.sees(group)


def bound(command: SomeCommand) -> SomeCommand:
    """The command as the caller may give it: other groups' campaigns don't exist for it."""
    bound_to = groups_at_hand()
    return command if bound_to is None else replace(command, groups=bound_to)  # type: ignore[arg-type]


async def campaign(gateway: "Gateway", campaign_id: str) -> CampaignLine | None:
    """The campaign, its secrets hidden; None where none of that id exists for the caller."""
    async with gateway.pool.acquire() as connection:
        found = await queries.campaign(connection, campaign_id)
    return found if found is not None and sees(found.definition.group) else None


async def save(gateway: "Gateway", definition: CampaignDefinition, *, new: bool) -> CampaignDefinition:
    """Make the campaign, or change it where not `new`; returns it with its group.

    Raises a Problem where its group isn't the caller's, and as `campaigns.save`.
    """
    definition = grouped(definition)
    if new or groups_at_hand() is None:
        await campaigns.save(gateway.pool, [definition], new=new)
    elif await change(gateway, definition.campaign_id, lambda _: definition) is None:
        await campaigns.save(gateway.pool, [definition], new=True)
    return definition


async def change(
    gateway: "Gateway", campaign_id: str, to: Callable[[CampaignDefinition], CampaignDefinition]
) -> tuple[CampaignDefinition, Saved] | None:
    """As `campaigns.change`; None too where the campaign doesn't exist for the caller.

    Raises a Problem where its group isn't the caller's afterwards.
    """

    def changed(before: CampaignDefinition) -> CampaignDefinition:
        if not sees(before.group):
            raise _HiddenError
        return grouped(to(before))

    try:
        return await campaigns.change(gateway.pool, campaign_id, changed)
    except _HiddenError:
        return None


def grouped(definition: CampaignDefinition) -> CampaignDefinition:
    """The definition with the caller's group, where they have one and it names none.

    Raises a Problem (403, 422) where its group isn't one of the caller's.
    """
    caller: Caller | None = CALLING.get()
    if caller is None or caller.groups is None or definition.group in caller.groups:
        return definition
    mine = ", ".join(sorted(caller.groups))
    if definition.group is not None:
        raise Problem(403, "forbidden", f"group: the key is bound to the groups {mine}; name one of them.")
    if len(caller.groups) > 1:
        raise Problem(422, "invalid_request", f"group: is missing; the key is bound to {mine}: name one of them.")
    return definition.model_copy(update={"group": next(iter(caller.groups))})
