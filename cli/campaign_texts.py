"""Describe a campaign definition in text, for `couponry campaigns show` and `list`."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, Final

from cli.output import count, day
from schemas.campaign_parts import CapDefinition
from schemas.campaigns import CampaignDefinition, IssueRuleDefinition
from schemas.discount_kinds import KIND_FIELDS
from schemas.windows import HoursDefinition
from shared.ledger.definitions import to_domain

MAX_LISTED: Final = 20
"""Ids shown of one list; a campaign may name 100,000 products."""

DESCRIBED: Final = frozenset(
    {
        "min_order_amount", "min_order_amount_exclusive", "min_quantity", "currency", "channels", "holder_only",
        "first_order_only", "segments_any", "segments_all", "segments_none", "conditions",
    }
)  # fmt: skip
"""Fields of eligibility that are described in words. Others are shown by name and value."""

Fact = tuple[str, str | None]
"""A name and its value; None if the campaign doesn't set it."""


def definition_facts(definition: CampaignDefinition) -> Iterator[Fact]:
    """Yield everything that the campaign sets, except the values of its secrets."""
    yield "campaign", definition.campaign_id
    yield "name", definition.name or None
    yield "category", definition.category or None
    yield "group", definition.group or None
    yield "description", definition.description or None
    yield "status", definition.status
    yield from _offer(definition)
    yield from _eligibility(definition)
    yield from _terms(definition)
    yield from _issuing(definition)
    yield "metadata", _json(definition.metadata)


def _offer(definition: CampaignDefinition) -> Iterator[Fact]:
    """Yield the discount of a coupon and the lines that it applies to."""
    yield "discount", discount(definition)
    yield "payload", _json(definition.discount.payload)
    scope = definition.applies_to
    yield "products", _listed(scope.product_ids)
    yield "variants", _listed(scope.variant_ids)
    yield "collections", _listed(scope.collection_ids)
    yield "except products", _listed(scope.excluded_product_ids)
    yield "except variants", _listed(scope.excluded_variant_ids)
    yield "except collections", _listed(scope.excluded_collection_ids)
    if scope.max_units is not None:
        yield "units", f"at most {count(scope.max_units, 'unit')}, the {scope.units_from} first"


def _terms(definition: CampaignDefinition) -> Iterator[Fact]:
    """Yield when and how often coupons can be used, and how they combine."""
    yield "window", window(definition) or "always"
    zone = definition.window.time_zone
    yield "time zone", zone if zone != "UTC" else None
    yield "reminders", _reminders(definition.window.remind_days)
    for hours in definition.window.hours:
        yield "hours", _hours(hours)
    yield "limits", limits(definition) or "none"
    currency = _currency(definition)
    spend = definition.limits.spend_total
    yield "budget", None if spend is None else f"{spend} {currency} off in all"
    for cap in definition.limits.caps:
        yield "cap", _cap(cap)
    yield "stacking", _stacking(definition)
    yield "restored on", ", ".join(definition.restore_on) or "nothing; a use stays used"
    if definition.on_return == "rejudge":
        yield "returned in part", "judged again on what is left"
    if definition.restore_days:
        yield "restored after its end", f"valid for {count(definition.restore_days, 'day')} more"
    yield "recurring", _recurring(definition)


def _reminders(days: int | None) -> str | None:
    if not days:
        return None if days is None else "when a coupon has ended"
    return f"{count(days, 'day')} before a coupon ends, and when it has ended"


def _recurring(definition: CampaignDefinition) -> str | None:
    if not definition.recurring:
        return None
    cycles = definition.recurring_cycles
    if cycles is None:
        return "each order of a subscription"
    orders = "first order" if cycles == 1 else f"first {cycles} orders"
    return f"the {orders} of a subscription that cost{'s' if cycles == 1 else ''} something"


def _eligibility(definition: CampaignDefinition) -> Iterator[Fact]:
    """Yield which customers and orders may use a coupon."""
    rules = definition.eligibility
    yield "currency", _currency(definition)
    if rules.min_order_amount is not None:
        bound = "more than" if rules.min_order_amount_exclusive else "at least"
        yield "order amount", f"{bound} {rules.min_order_amount} {_currency(definition)}"
    if rules.min_quantity is not None:
        yield "quantity", f"at least {count(rules.min_quantity, 'unit')}"
    yield "channels", _listed(rules.channels)
    yield "customers", "only the holder of the coupon" if rules.holder_only else None
    yield "orders", "only a customer's first" if rules.first_order_only else None
    yield "any segment of", _listed(rules.segments_any)
    yield "all segments of", _listed(rules.segments_all)
    yield "no segment of", _listed(rules.segments_none)
    for condition in rules.conditions:
        yield "condition", f"{condition.name}: {condition.expression}"
    for name, value in rules:
        if name not in DESCRIBED and value:
            yield name.replace("_", " "), _listed(value) if isinstance(value, tuple) else str(value)
    yield "validation code", "required" if definition.validation_code is not None else None


def _issuing(definition: CampaignDefinition) -> Iterator[Fact]:
    """Yield how coupons come to customers, and where their codes come from."""
    for rule in definition.issues_on:
        yield "issued on", _issue_rule(rule)
    if not definition.issues_on:
        yield "issued on", "no event; coupons are made another way"
    source = definition.source
    yield "codes from", source.kind if source.url is None else f"{source.kind}, {source.url}"
    yield "headers", ", ".join(sorted(source.headers)) or None  # only the names: the values are secret
    yield "without code", "yes" if source.without_code else None
    code = definition.code
    yield "shared code", code.shared_code
    yield "code pattern", to_domain(definition, 0).code.pattern
    yield "code characters", code.charset


def discount(definition: CampaignDefinition) -> str:
    """Return the discount as text: `10 %, at most 50.00 USD`, `1.00 USD`, `free shipping`."""
    offer, row = definition.discount, KIND_FIELDS[definition.discount.kind]
    currency = _currency(definition)
    text = row.text.format(
        value=offer.value or row.default,
        currency=currency or "in the order's currency",
        product_id=offer.product_id,
    )
    if offer.per_unit:
        text += " off each unit"
    return text if offer.max_discount is None else f"{text}, at most {offer.max_discount} {currency}"


def window(definition: CampaignDefinition) -> str:
    """Return the campaign's window in UTC: `2026-01-01 to 2027-01-01, 30 d each`; empty if there is none."""
    found = to_domain(definition, 0).window
    parts = []
    starts, ends = day(found.starts_at), day(found.ends_at)
    if starts and ends:
        parts.append(f"{starts} to {ends}")
    elif starts or ends:
        parts.append(f"from {starts}" if starts else f"until {ends}")
    if found.ends_coupons:
        parts.append(_validity(definition))
    return ", ".join(parts)


def limits(definition: CampaignDefinition) -> str:
    """Return the limits that are set, as text: `1 use per coupon, 500 uses in all`."""
    found = definition.limits
    named = {
        "per coupon": found.uses_per_coupon and count(found.uses_per_coupon, "use"),
        "per customer": found.uses_per_customer and count(found.uses_per_customer, "use"),
        "in all": found.uses_total and count(found.uses_total, "use"),
        "issued in all": found.coupons_total and count(found.coupons_total, "coupon"),
        "issued per customer": found.coupons_per_customer and count(found.coupons_per_customer, "coupon"),
    }
    return ", ".join(f"{number} {what}" for what, number in named.items() if number)


def occasions(definition: CampaignDefinition) -> str:
    """Return the events that issue its coupons: `reward.earned (rule_id=42)`."""
    return ", ".join(map(_occasion, definition.issues_on))


def _occasion(rule: IssueRuleDefinition) -> str:
    match = ", ".join(f"{name}={value}" for name, value in rule.match.items())
    return f"{rule.event} ({match})" if match else rule.event


def _issue_rule(rule: IssueRuleDefinition) -> str:
    text = _occasion(rule)
    if rule.condition is not None:
        text += f", if {rule.condition}"
    if rule.coupons > 1 or rule.to != "customer":
        to = {"customer": "the customer", "referrer": "the referrer", "both": "the customer and the referrer each"}
        text += f": {count(rule.coupons, 'coupon')} to {to[rule.to]}"
    return text


def _hours(hours: HoursDefinition) -> str:
    return f"{', '.join(hours.days) or 'every day'} {hours.opens} to {hours.closes}"


def _cap(cap: CapDefinition) -> str:
    numbers = [(cap.uses, "use"), (cap.coupons, "coupon")]
    counted = " and ".join([count(number, noun) for number, noun in numbers if number is not None])
    per = "of each coupon" if cap.per == "coupon" else f"per {cap.per}"
    return f"{counted} {per}{' for each customer' if cap.each == 'customer' else ''}"


def _stacking(definition: CampaignDefinition) -> str:
    rule = definition.stacking
    parts: list[str] = [rule.policy]
    if rule.group is not None:
        parts.append(f"one coupon of the group {rule.group}")
    if rule.priority:
        parts.append(f"priority {rule.priority}")
    if rule.max_coupons is not None:
        parts.append(f"at most {count(rule.max_coupons, 'coupon')} on an order")
    return ", ".join(parts)


def _currency(definition: CampaignDefinition) -> str | None:
    return definition.discount.currency or definition.eligibility.currency


def _listed(values: Sequence[str]) -> str | None:
    """Return the first values, and how many more there are; None for none."""
    more = len(values) - MAX_LISTED
    text = ", ".join(values[:MAX_LISTED])
    return f"{text} and {more:,} more; --json prints all" if more > 0 else text or None


def _duration(duration: timedelta) -> str:
    minutes, seconds = divmod(duration.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    parts = {"d": duration.days, "h": hours, "min": minutes, "s": seconds}
    return " ".join(f"{number} {unit}" for unit, number in parts.items() if number) or "less than 1 s"


def _validity(definition: CampaignDefinition) -> str:
    """Return how long each coupon is valid: `30 d each`, `1 month each, until the end of that week`."""
    valid_for, until = definition.window.valid_for, definition.window.until
    end = "" if until is None else f"until the end of {'the' if valid_for is None else 'that'} {until[7:]}"
    if valid_for is None:
        return f"each {end} of its issue"
    text = f"{valid_for if isinstance(valid_for, str) else _duration(valid_for)} each"
    return f"{text}, {end}" if end else text


def _json(value: dict[str, Any] | None) -> str | None:
    return json.dumps(value, ensure_ascii=False) if value else None
