"""Plan a load of campaigns: which fields would change, and the effects on existing coupons. Changes nothing.

`compare` and `plan_effects.effects` are pure; `plan` reads the numbers from the ledger. It agrees with
`shared.ledger.campaigns.save` on which campaigns change, because both leave the comparison to PostgreSQL.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pydantic import BaseModel, JsonValue

from schemas.campaigns import CampaignDefinition, stored_campaign
from shared.ledger import lookalikes
from shared.ledger.campaigns import Change, with_secrets
from shared.ledger.database import Connection
from shared.ledger.plan_effects import Effect, Live, effects
from shared.ledger.secrets import HIDDEN
from shared.ledger.shared_codes import WantedCode, taken_codes
from shared.ledger.sql import sql
from shared.ledger.stored_definitions import readable, stored_texts

SECRET: Final = frozenset({"source.headers", "validation_code"})
"""Fields whose values are hidden, because plans are pasted into reviews; names of headers are shown."""


@dataclass(frozen=True, slots=True)
class FieldChange:
    """A changed field, by its dotted name, with its JSON values."""

    field: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class Planned:
    """The planned change of one campaign. `fields` and `effects` are empty unless it is changed.

    `conflict`: why loading would be refused although the file is valid; None if it wouldn't. `warnings`: sentences
    about a code that customers may mistake for another.
    """

    campaign_id: str
    change: Change
    fields: tuple[FieldChange, ...] = ()
    effects: tuple[Effect, ...] = ()
    conflict: str | None = None
    warnings: tuple[str, ...] = ()


def compare(before: CampaignDefinition, after: CampaignDefinition) -> list[FieldChange]:
    """Return every field that differs, in the order of the model."""
    return list(_differences(before, after, ""))


def _differences(before: BaseModel, after: BaseModel, section: str) -> Iterator[FieldChange]:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    for name in type(after).model_fields:
        field, was, now = f"{section}{name}", getattr(before, name), getattr(after, name)
        if isinstance(was, BaseModel) and type(was) is type(now):
            yield from _differences(was, now, f"{field}.")
        elif _text(old[name]) != _text(new[name]):  # as strings: in Python true equals 1
            if field in SECRET:
                yield FieldChange(field, _hidden(old[name]), _hidden(new[name]))
            else:
                yield FieldChange(field, old[name], new[name])


def _hidden(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return [*sorted(value)]
    return None if value is None else HIDDEN


def _text(value: JsonValue) -> str:
    return json.dumps(value, sort_keys=True)


async def plan(
    connection: Connection, definitions: Sequence[CampaignDefinition], groups: Sequence[str] | None = None
) -> list[Planned]:
    """Return what `save` would do with each of `definitions`. Read only, with a fixed number of statements.

    `groups`: warnings name only campaigns of these groups. Raises DefinitionError for a hidden secret that isn't known.
    """
    definitions = await with_secrets(connection, definitions)
    found = await connection.fetch(
        sql("plan_campaigns"),
        [definition.campaign_id for definition in definitions],
        await stored_texts(connection, definitions, only_compared=True),
    )
    known = {record["campaign_id"]: record for record in found}
    changed: list[tuple[CampaignDefinition, CampaignDefinition, list[FieldChange]]] = []
    for after in definitions:
        record = known.get(after.campaign_id)
        if record is not None and record["differs"]:
            before = readable(stored_campaign(record["definition"]))
            changed.append((before, after, compare(before, after)))
    live = await _live(connection, changed)
    conflicts = await _conflicts(
        connection,
        [definition for definition in definitions if known.get(definition.campaign_id, {"differs": True})["differs"]],
    )
    found_warnings = await lookalikes.warnings(connection, definitions, groups)
    planned = {
        after.campaign_id: Planned(
            after.campaign_id,
            "changed",
            tuple(fields),
            tuple(effects(before, after, [change.field for change in fields], live[after.campaign_id])),
        )
        for before, after, fields in changed
    }
    return [
        replace(
            planned.get(campaign_id) or Planned(campaign_id, "unchanged" if campaign_id in known else "created"),
            conflict=conflicts.get(campaign_id),
            warnings=found_warnings.get(campaign_id, ()),
        )
        for campaign_id in [definition.campaign_id for definition in definitions]
    ]


async def _live(
    connection: Connection, changed: Sequence[tuple[CampaignDefinition, CampaignDefinition, list[FieldChange]]]
) -> Mapping[str, Live]:
    """Return totals by campaign id. Ledger entries are read only if a limit on their sum changes."""
    if not changed:
        return {}
    ids = [after.campaign_id for _, after, _ in changed]
    limits = (
        [before.limits.uses_per_coupon for before, _, _ in changed],
        [after.limits.uses_per_coupon for _, after, _ in changed],
    )
    numbers: dict[str, dict[str, Any]] = {campaign_id: {} for campaign_id in ids}
    for record in await connection.fetch(sql("plan_coupons"), ids, *limits):
        numbers[record["campaign_id"]].update(record)
    limited = [
        (before, after)
        for before, after, fields in changed
        if any(change.field.startswith("limits.") for change in fields)
    ]
    if limited:
        records = await connection.fetch(
            sql("plan_totals"),
            [after.campaign_id for _, after in limited],
            [after.discount.currency or after.eligibility.currency for _, after in limited],
            [before.limits.uses_per_customer for before, _ in limited],
            [after.limits.uses_per_customer for _, after in limited],
            [before.limits.coupons_per_customer for before, _ in limited],
            [after.limits.coupons_per_customer for _, after in limited],
        )
        for record in records:
            numbers[record["campaign_id"]].update(record, spent_minor=int(record["spent_minor"]))
    now = await connection.fetchval(sql("batch_clock"))
    return {
        campaign_id: Live(now, **{name: number for name, number in counted.items() if name != "campaign_id"})
        for campaign_id, counted in numbers.items()
    }


async def _conflicts(connection: Connection, definitions: Sequence[CampaignDefinition]) -> dict[str, str]:
    """Return, by campaign id, why it can't be loaded: another coupon has its shared code, or a code that it freed."""
    shared = [
        WantedCode(definition.campaign_id, definition.code.shared_code, definition.status == "archived")
        for definition in definitions
        if definition.code.shared_code is not None
    ]
    active = [definition.campaign_id for definition in definitions if definition.status != "archived"]
    taken = await taken_codes(connection, shared, active)
    return {campaign_id: f"{sentence} Loading would be refused." for campaign_id, sentence in taken.items()}
