"""Which campaigns an event issues coupons of: their `issues_on` rules, turned into tables once a change.

There may be thousands of campaigns, all with a rule on `rule_id`; an event must not look at each. So rules are grouped
by their shape (event type, names of the fields they match), and each shape is one dictionary from values to campaigns.
An event costs one look-up a shape, and shapes are few.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from schemas.common import Event
from shared.domain.campaign import Campaign, IssueRule

METADATA: Final = "metadata."

Values = tuple[str, ...]
Table = dict[Values, tuple[str, ...]]


class MatchIndex:
    """The rules of `campaigns`, ready to be asked. Archived campaigns match nothing."""

    def __init__(self, campaigns: Mapping[str, Campaign]) -> None:
        self._campaigns = campaigns
        shapes: dict[str, dict[Values, dict[Values, set[str]]]] = defaultdict(lambda: defaultdict(dict))
        for campaign in campaigns.values():
            if campaign.status == "archived":
                continue
            for rule in campaign.issues_on:
                match = sorted(rule.match)
                names = tuple(name for name, _ in match)
                values = tuple(value for _, value in match)
                shapes[rule.event][names].setdefault(values, set()).add(campaign.campaign_id)
        self._shapes: dict[str, list[tuple[Values, Table]]] = {
            event: [
                (names, {values: tuple(sorted(ids)) for values, ids in table.items()})
                for names, table in tables.items()
            ]
            for event, tables in shapes.items()
        }

    def matching(self, event_type: str, data: Event) -> tuple[str, ...]:
        """The ids of the campaigns with a rule that matches, sorted, each once."""
        found: list[tuple[str, ...]] = []
        for names, table in self._shapes.get(event_type, ()):
            values = _values(data, names)
            if values is not None and (ids := table.get(values)):
                found.append(ids)
        if len(found) == 1:
            return found[0]
        return tuple(sorted(set().union(*found)))

    def named(self, campaign_id: str, event_type: str, data: Event) -> tuple[str, ...]:
        """The campaign that an event names, unless it exists and none of its rules matches.

        One that doesn't exist is passed on, so that its refusal names it.
        """
        campaign = self._campaigns.get(campaign_id)
        if campaign is None or _any_matches(campaign.issues_on, event_type, data):
            return (campaign_id,)
        return ()


def _any_matches(rules: Iterable[IssueRule], event_type: str, data: Event) -> bool:
    return any(
        rule.event == event_type and all(field_text(data, name) == value for name, value in rule.match)
        for rule in rules
    )


def _values(data: Event, names: Values) -> Values | None:
    values: list[str] = []
    for name in names:
        value = field_text(data, name)
        if value is None:
            return None
        values.append(value)
    return tuple(values)


def field_text(data: Event, name: str) -> str | None:
    """An event's field as the text that rules compare, None where it is absent or is no single value.

    `metadata.tier` is the entry `tier` of `metadata`; any other name is a field of the event itself. Texts are compared
    as they are, whole numbers by their digits, booleans as `true` and `false`.
    """
    if name.startswith(METADATA):
        metadata = getattr(data, "metadata", None)
        value = metadata.get(name.removeprefix(METADATA)) if isinstance(metadata, dict) else None
    elif name in type(data).model_fields:
        value = getattr(data, name)
    else:
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else None
