"""Build the commands of a step, with the code that the services use."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from cli.rehearsal.script import EVENTS, Filling, ScriptError, Step, codes_of
from schemas.catalogue import BY_TYPE
from schemas.common import Event
from schemas.parsing import InvalidDocumentError, parse
from schemas.salvage import salvaged, without_conflicts
from services.issuer.handler import to_commands
from services.redeemer.handler import to_command
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command, CreateCoupons, IssueCoupons, VoidCoupon
from shared.domain.model.customer import DEFAULT_RULES, IdentityRules
from shared.domain.model.money import MoneyError
from shared.ledger.matching import MatchIndex
from shared.messaging.records import ReceivedEvent, Record

_NOWHERE = Record.unsent("", None)


def settings_of(burn_on: str, identity: IdentityRules = DEFAULT_RULES) -> RedeemerSettings:
    """Return the redeemer's settings for a rehearsal."""
    when: Literal["placed", "paid"] = "paid" if burn_on == "paid" else "placed"
    # Without the servers that validation requires.
    return RedeemerSettings.model_construct(
        burn_on=when, email_plus=identity.email_plus, placeholders=",".join(identity.placeholders)
    )


def commands_of(
    step: Step, filling: Filling, campaigns: Mapping[str, Campaign], settings: RedeemerSettings
) -> list[Command]:
    """Return the commands of a step. Raises ScriptError for an event that no service can read."""
    command_id = f"{filling.prefix}/rehearsal {step.number}"
    if step.kind == "void":
        if not isinstance(step.value, str) or not step.value.strip():
            raise ScriptError(f"Step {step.number}: void needs a code, like `void: TEN` or `void: $1`.")
        filling.later()
        return [VoidCoupon(command_id, filling.code(step, step.value))]
    event = received(step, filling.event(step), filling.prefix)
    if event.type in ("reward.earned", "reward.revoked", "customer.signed_up"):
        return [_supplied(command, filling, campaigns) for command in to_commands(event, MatchIndex(campaigns))]
    try:
        command = to_command(event, settings, record_orders=True, is_followed=True)
    except MoneyError as error:
        raise ScriptError(f"Step {step.number}: {error}") from None
    return [] if command is None else [command]


def imported(
    step: Step, filling: Filling, campaigns: Mapping[str, Campaign]
) -> tuple[dict[str, list[str]], list[Command]]:
    """Return a `codes` step's codes for pools, by campaign, and the commands for campaigns without a pool."""
    pooled: dict[str, list[str]] = {}
    commands: list[Command] = []
    at = filling.later()
    for campaign_id, listed in codes_of(step).items():
        if campaign_id not in campaigns:
            raise ScriptError(f"Step {step.number}: there is no campaign {campaign_id!r} to import codes for.")
        if campaigns[campaign_id].source.kind == "pool":
            pooled[campaign_id] = listed
        else:
            command_id = f"{filling.prefix}/rehearsal {step.number} {campaign_id}"
            commands.append(CreateCoupons(command_id, campaign_id, codes=tuple(listed), at=at))
    return pooled, commands


def _supplied(command: Command, filling: Filling, campaigns: Mapping[str, Campaign]) -> Command:
    """Return the command with codes from external sources, which a rehearsal makes up instead of requesting them."""
    if not isinstance(command, IssueCoupons) or not command.customer.email:
        return command
    named = [campaigns[one] for one in command.campaign_ids if one in campaigns]
    external_codes = [
        (one.campaign_id, "" if one.source.without_code else filling.external_code())
        for one in named
        if one.source.kind == "external"
    ]
    return replace(command, external_codes=tuple(external_codes))


def received(step: Step, data: dict[str, Any], prefix: str) -> ReceivedEvent:
    """Return the step's event as a service receives it. Raises ScriptError."""
    kind = EVENTS[step.kind]
    document = json.dumps(data).encode()
    try:
        read: Event = parse(BY_TYPE[kind].model, document)
    except InvalidDocumentError as error:
        in_part = salvaged(BY_TYPE[kind].model, document, error)
        if in_part is None:
            raise ScriptError(f"Step {step.number}, {step.kind}: {error}") from None
        read = in_part
    if problem := read.problem():
        in_part = without_conflicts(read)
        if in_part is None:
            raise ScriptError(f"Step {step.number}, {step.kind}: {problem}")
        read = in_part
    return ReceivedEvent(id=str(step.number), source=f"{prefix}/rehearsal", type=kind, data=read, record=_NOWHERE)
