"""Find the campaigns that issue coupons for an event, from their `issues_on` rules.

There may be thousands of campaigns with a rule on `rule_id`, so an event can't check each. Rules are grouped by shape
(event type and names of the matched fields), and each shape is one dictionary from values to campaigns. An event costs
one look-up per shape, and there are few shapes. The index is built once per change of campaigns.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from schemas.common import Event
from shared.domain.model.campaign import Campaign, IssueRule
from shared.domain.offers.conditions import Values as EventValues

METADATA: Final = "metadata."

Values = tuple[str, ...]
Rules = tuple[tuple[str, IssueRule], ...]
"""(campaign id, rule)"""
Table = dict[Values, Rules]

Wanted = tuple[tuple[str, int], ...]
"""(campaign id, number of coupons), sorted by campaign, each once"""


@dataclass(frozen=True, slots=True)
class WantedCoupons:
    """The coupons to issue for an event: to its customer, and to the referring customer."""

    customer: Wanted = ()
    referrer: Wanted = ()


MAX_EVENT_WORK: Final = 5_000_000
"""Limit of the work of one event's conditions, in the units of `shared.domain.offers.work`: about half a second. No
other event is handled in that time."""


class TooMuchWorkError(ValueError):
    """The conditions for an event would take too much work."""


class MatchIndex:
    """An index of the rules of `campaigns`. Archived campaigns match nothing."""

    def __init__(self, campaigns: Mapping[str, Campaign]) -> None:
        self._campaigns = campaigns
        shapes: dict[str, dict[Values, dict[Values, list[tuple[str, IssueRule]]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(list))
        )
        for campaign in campaigns.values():
            if campaign.status == "archived":
                continue
            for rule in campaign.issues_on:
                match = sorted(rule.match)
                names = tuple(name for name, _ in match)
                values = tuple(value for _, value in match)
                shapes[rule.event][names][values].append((campaign.campaign_id, rule))
        self._shapes: dict[str, list[tuple[Values, Table]]] = {
            event: [
                (names, {values: tuple(rules) for values, rules in table.items()}) for names, table in tables.items()
            ]
            for event, tables in shapes.items()
        }

    def matching(self, event_type: str, data: Event) -> WantedCoupons:
        """Return what the matching rules issue. If several rules of a campaign match, the greatest number counts for
        each receiver, not the sum.
        """
        return _wanted(self._found(event_type, data), data)

    def named(self, campaign_id: str, event_type: str, data: Event) -> WantedCoupons:
        """Return what the campaign named by an event issues; nothing if none of its rules matches.

        An unknown campaign is passed on, so that the refusal names it.
        """
        campaign = self._campaigns.get(campaign_id)
        if campaign is None:
            return WantedCoupons(((campaign_id, 1),))
        return _wanted([(campaign_id, rule) for rule in campaign.issues_on if _matches(rule, event_type, data)], data)

    def _found(self, event_type: str, data: Event) -> Iterator[tuple[str, IssueRule]]:
        for names, table in self._shapes.get(event_type, ()):
            values = _values(data, names)
            if values is not None:
                yield from table.get(values, ())


def _wanted(found: Iterable[tuple[str, IssueRule]], data: Event) -> WantedCoupons:
    """Return what the matching rules issue. Conditions are evaluated last, because they cost more than a look-up."""
    event: EventValues | None = None
    work = 0
    results: dict[str, bool] = {}  # by expression: thousands of campaigns may have the same one
    customer: dict[str, int] = {}
    referrer: dict[str, int] = {}
    for campaign_id, rule in found:
        if rule.condition is not None:
            # A null field is absent to has(), as in an order.
            event = event or EventValues({"event": data.model_dump(mode="json", exclude_none=True)})
            expression = rule.condition.expression
            if expression not in results:
                work += 0 if rule.condition.work is None else rule.condition.work(event)
                if work > MAX_EVENT_WORK:
                    raise TooMuchWorkError(
                        f"The conditions of the campaigns that this event matches, up to {campaign_id!r}, would take "
                        f"{work:,} units of work; the limit is {MAX_EVENT_WORK:,}. Make the event's metadata smaller, "
                        "or the conditions simpler."
                    )
                results[expression] = rule.condition.is_true(event)
            if not results[expression]:
                continue
        if rule.to != "referrer":
            customer[campaign_id] = max(rule.coupons, customer.get(campaign_id, 0))
        if rule.to != "customer":
            referrer[campaign_id] = max(rule.coupons, referrer.get(campaign_id, 0))
    return WantedCoupons(tuple(sorted(customer.items())), tuple(sorted(referrer.items())))


def _matches(rule: IssueRule, event_type: str, data: Event) -> bool:
    return rule.event == event_type and all(field_text(data, name) == value for name, value in rule.match)


def _values(data: Event, names: Values) -> Values | None:
    values: list[str] = []
    for name in names:
        value = field_text(data, name)
        if value is None:
            return None
        values.append(value)
    return tuple(values)


def field_text(data: Event, name: str) -> str | None:
    """Return an event's field as the text that rules compare; None if it is absent or not a single value.

    `metadata.tier` is the entry `tier` of `metadata`; any other name is a field of the event itself. Numbers are
    compared by their digits, booleans as `true` and `false`.
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
