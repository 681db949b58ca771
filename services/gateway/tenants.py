"""Access to campaigns by the groups of the caller. A caller that is bound to groups sees no other campaigns.

Routes load campaigns with this module, commands pass through `bound`, and lists and reports pass `groups()` to their
SQL. The guard sets the caller, so a route can't forget it.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from schemas.campaigns import CampaignDefinition
from services.gateway.access.callers import CURRENT_CALLER, Caller, current_groups
from services.gateway.problems import Problem
from shared.domain.model.commands import Command
from shared.ledger import campaigns, queries
from shared.ledger.campaigns import Saved
from shared.ledger.queries import CampaignLine

if TYPE_CHECKING:
    from services.gateway.gateway import Gateway

SomeCommand = TypeVar("SomeCommand", bound=Command)


class _HiddenError(Exception):
    """The campaign belongs to a group that the caller isn't bound to."""


def groups() -> list[str] | None:
    """Return the caller's groups as an SQL parameter; NULL for all campaigns."""
    bound_to = current_groups()
    return None if bound_to is None else sorted(bound_to)


def sees(group: str | None) -> bool:
    """Return whether the caller may see campaigns of this group."""
    caller = CURRENT_CALLER.get()
    return caller is None or caller.sees(group)


def restrict_to_groups(command: SomeCommand) -> SomeCommand:
    """Restrict the command to the caller's groups: campaigns of other groups don't exist for it."""
    bound_to = current_groups()
    return command if bound_to is None else replace(command, groups=bound_to)  # type: ignore[arg-type]


async def campaign(gateway: "Gateway", campaign_id: str) -> CampaignLine | None:
    """Return the campaign with its secrets masked; None if it doesn't exist for the caller."""
    async with gateway.pool.acquire() as connection:
        found = await queries.campaign(connection, campaign_id)
    return found if found is not None and sees(found.definition.group) else None


async def save(gateway: "Gateway", definition: CampaignDefinition, *, new: bool) -> CampaignDefinition:
    """Create the campaign, or, if not `new`, create or change it. Return it with its group.

    Raises a Problem if its group isn't the caller's, and the errors of `campaigns.save`.
    """
    definition = grouped(definition)
    if new or current_groups() is None:
        await campaigns.save(gateway.pool, [definition], new=new)
    elif await change(gateway, definition.campaign_id, lambda _: definition) is None:
        await campaigns.save(gateway.pool, [definition], new=True)
    return definition


async def change(
    gateway: "Gateway", campaign_id: str, to: Callable[[CampaignDefinition], CampaignDefinition]
) -> tuple[CampaignDefinition, Saved] | None:
    """Change a campaign, as `campaigns.change` does. Return None if it doesn't exist for the caller.

    Raises a Problem if its new group isn't the caller's.
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
    """Return the definition with the caller's only group, if it has no group.

    Raises a Problem (403, 422) if its group isn't one of the caller's.
    """
    caller: Caller | None = CURRENT_CALLER.get()
    if caller is None or caller.groups is None or definition.group in caller.groups:
        return definition
    mine = ", ".join(sorted(caller.groups))
    if definition.group is not None:
        raise Problem(403, "forbidden", f"group: the key is bound to the groups {mine}; use one of them.")
    if len(caller.groups) > 1:
        raise Problem(
            422, "invalid_request", f"group: is missing; the key is bound to {mine}; use one of these groups."
        )
    return definition.model_copy(update={"group": next(iter(caller.groups))})
