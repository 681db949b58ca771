"""Print a plan of campaigns: which are created, changed (with the effects), or unchanged."""

import json
from collections.abc import Sequence
from typing import Final

from pydantic import JsonValue

from cli.output import count, say
from shared.ledger.planning import FieldChange, Planned

MAX_NAMED: Final = 20
"""Up to this many unchanged campaigns are listed by name."""

MAX_CHARACTERS: Final = 60
MAX_ENTRIES: Final = 3
"""The parts of a changed value and list that fit on a line; `--json` has all of them."""


def show_plan(planned: Sequence[Planned]) -> None:
    """Print one line per campaign, followed by its changed fields and the effect of each change."""
    unchanged = sum(one.change == "unchanged" for one in planned)
    for one in planned:
        if one.change != "unchanged" or unchanged <= MAX_NAMED:
            say(f"{one.change:<9}  {one.campaign_id}")
            _show_one(one)
    changes = [one.change for one in planned]
    parts = ", ".join(f"{changes.count(change):,} {change}" for change in ("created", "changed", "unchanged"))
    say(f"\n{count(len(planned), 'campaign')}: {parts}. Nothing was loaded.")


def _show_one(planned: Planned) -> None:
    effects = {effect.field: effect.text for effect in planned.effects}
    for change in planned.fields:
        say(f"    {change.field}: {difference(change)}")
        if change.field in effects:
            say(f"        {effects[change.field]}")
    if planned.change == "changed" and not planned.fields:
        say("    No field differs; it would only be stored again in the format of this version of Couponry.")
    for warning in planned.warnings:
        say(f"    WARNING  {warning}")
    if planned.conflict is not None:
        say(f"    CONFLICT  {planned.conflict}")


def difference(change: FieldChange) -> str:
    """Return `1 → 2`; for long lists the added and removed entries: `14,477 → 14,478 entries (new: "510509")`."""
    before, after = change.before, change.after
    if isinstance(before, list) and isinstance(after, list) and max(len(before), len(after)) > MAX_ENTRIES:
        was, now = {shown(one): None for one in before}, {shown(one): None for one in after}
        new, removed = [one for one in now if one not in was], [one for one in was if one not in now]
        parts = "; ".join(f"{what}: {_first(names)}" for what, names in (("new", new), ("gone", removed)) if names)
        return f"{len(before):,} → {len(after):,} entries ({parts or 'in another order'})"
    return f"{shown(before)} → {shown(after)}"


def _first(names: Sequence[str]) -> str:
    listed = ", ".join(names[:MAX_ENTRIES])
    return listed if len(names) <= MAX_ENTRIES else f"{listed} and {len(names) - MAX_ENTRIES:,} more"


def shown(value: JsonValue) -> str:
    """Return a value as short JSON; a string that can't be mistaken for something else has no quotes."""
    if isinstance(value, str) and value.isprintable() and value.strip() == value and value not in ("", "null"):
        text = value
    else:
        text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= MAX_CHARACTERS else f"{text[: MAX_CHARACTERS - 1]}…"
