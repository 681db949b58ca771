"""What `couponry campaigns show` and `list` print of a campaign."""

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from cli import campaign_texts
from cli.campaign_texts import DESCRIBED, MAX_LISTED, definition_facts, discount, occasions, window
from schemas.campaigns import CampaignDefinition
from schemas.common import DiscountKind
from schemas.parsing import parse

KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "percentage": ({"value": "10"}, "10 %"),
    "fixed": ({"value": "1.00", "currency": "USD"}, "1.00 USD"),
    "fixed_rate": ({"value": "1.00", "currency": "USD"}, "1.00 USD"),
    "free_shipping": ({}, "free shipping"),
    "free_product": ({"product_id": "p1"}, "1 of product p1 free"),
    "custom": ({"payload": {"points": 5}}, "custom, value 0"),
}


def campaign(**fields: Any) -> CampaignDefinition:
    base = {"campaign_id": "c", "discount": {"kind": "percentage", "value": "10"}}
    return parse(CampaignDefinition, json.dumps(base | fields).encode())


def shown(**fields: Any) -> list[str]:
    """Return the facts that are printed, each as `name: value`."""
    return [f"{name}: {value}" for name, value in definition_facts(campaign(**fields)) if value is not None]


@pytest.mark.parametrize("kind", get_args(DiscountKind))
def test_each_kind_of_discount_is_described(kind: str) -> None:
    fields, text = KINDS[kind]
    assert discount(campaign(discount={"kind": kind, **fields})) == text


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kind": "percentage", "value": "10", "currency": "USD", "max_discount": "5.00"}, "10 %, at most 5.00 USD"),
        ({"kind": "fixed", "value": "1.00"}, "1.00 in the order's currency"),
        ({"kind": "fixed", "value": "1.00", "currency": "USD", "per_unit": True}, "1.00 USD off each unit"),
        (
            {"kind": "free_shipping", "currency": "USD", "max_discount": "5.00"},
            "free shipping, at most 5.00 USD",
        ),
        ({"kind": "free_product", "value": "3", "product_id": "p1"}, "3 of product p1 free"),
        ({"kind": "custom", "value": "7"}, "custom, value 7"),
    ],
)
def test_the_fields_of_a_discount_are_described(fields: dict[str, Any], text: str) -> None:
    assert discount(campaign(discount=fields)) == text


def test_a_campaign_with_nothing_but_a_discount() -> None:
    assert shown() == [
        "campaign: c",
        "status: active",
        "discount: 10 %",
        "window: always",
        "limits: none",
        "stacking: exclusive",
        "restored on: order.cancelled, order.returned",
        "issued on: no event; coupons are made another way",
        "codes from: generated",
    ]


USD = {"currency": "USD"}
SECTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"name": "Ten off"}, "name: Ten off"),
    "category": ({"category": "summer"}, "category: summer"),
    "group": ({"group": "shop-1"}, "group: shop-1"),
    "description": ({"description": "For all"}, "description: For all"),
    "status": ({"status": "paused"}, "status: paused"),
    "discount.payload": ({"discount": {"kind": "custom", "payload": {"points": 5}}}, 'payload: {"points": 5}'),
    "applies_to.product_ids": ({"applies_to": {"product_ids": ["p1", "p2"]}}, "products: p1, p2"),
    "applies_to.variant_ids": ({"applies_to": {"variant_ids": ["v"]}}, "variants: v"),
    "applies_to.collection_ids": ({"applies_to": {"collection_ids": ["k"]}}, "collections: k"),
    "applies_to.excluded_product_ids": ({"applies_to": {"excluded_product_ids": ["p"]}}, "except products: p"),
    "applies_to.excluded_variant_ids": ({"applies_to": {"excluded_variant_ids": ["v"]}}, "except variants: v"),
    "applies_to.excluded_collection_ids": ({"applies_to": {"excluded_collection_ids": ["k"]}}, "except collections: k"),
    "applies_to.max_units": ({"applies_to": {"max_units": 1}}, "units: at most 1 unit, the cheapest first"),
    "applies_to.units_from": (
        {"applies_to": {"max_units": 2, "units_from": "dearest"}},
        "units: at most 2 units, the dearest first",
    ),
    "code.pattern": ({"code": {"pattern": "A-########"}}, "code pattern: A-########"),
    "code.charset": ({"code": {"charset": "0123456789"}}, "code characters: 0123456789"),
    "code.prefix": ({"code": {"prefix": "A-", "length": 8}}, "code pattern: A-########"),
    "code.suffix": ({"code": {"suffix": "-Z", "length": 8}}, "code pattern: ########-Z"),
    "code.length": ({"code": {"length": 10}}, "code pattern: ##########"),
    "code.shared_code": ({"code": {"shared_code": "TEN"}}, "shared code: TEN"),
    "limits.uses_per_coupon": ({"limits": {"uses_per_coupon": 1}}, "limits: 1 use per coupon"),
    "limits.uses_per_customer": ({"limits": {"uses_per_customer": 2}}, "limits: 2 uses per customer"),
    "limits.uses_total": ({"limits": {"uses_total": 500}}, "limits: 500 uses in all"),
    "limits.coupons_total": ({"limits": {"coupons_total": 1_000}}, "limits: 1,000 coupons issued in all"),
    "limits.coupons_per_customer": ({"limits": {"coupons_per_customer": 1}}, "limits: 1 coupon issued per customer"),
    "limits.spend_total": (
        {"limits": {"spend_total": "900.00"}, "eligibility": USD},
        "budget: 900.00 USD off in all",
    ),
    "limits.caps": (
        {"limits": {"caps": [{"per": "day", "each": "customer", "uses": 1, "coupons": 2}]}},
        "cap: 1 use and 2 coupons per day for each customer",
    ),
    "window.starts_at": ({"window": {"starts_at": "2026-01-01"}}, "window: from 2026-01-01"),
    "window.ends_at": ({"window": {"ends_at": "2027-01-01T12:30:00Z"}}, "window: until 2027-01-01 12:30"),
    "window.valid_for": ({"window": {"valid_for": "P1DT12H"}}, "window: 1 d 12 h each"),
    "recurring_cycles": (
        {"recurring": True, "recurring_cycles": 3},
        "recurring: the first 3 orders of a subscription that cost something",
    ),
    "window.remind_days": (
        {"window": {"ends_at": "2027-01-01", "remind_days": 3}},
        "reminders: 3 days before a coupon ends, and when it has ended",
    ),
    "window.until": (
        {"window": {"valid_for": "1 month", "until": "end_of_week"}},
        "window: 1 month each, until the end of that week",
    ),
    "window.time_zone": ({"window": {"time_zone": "Europe/Berlin"}}, "time zone: Europe/Berlin"),
    "window.hours": (
        {"window": {"hours": [{"days": ["mon", "tue"], "opens": "09:00", "closes": "17:00"}]}},
        "hours: mon, tue 09:00 to 17:00",
    ),
    "eligibility.min_order_amount": (
        {"eligibility": USD | {"min_order_amount": "20.00"}},
        "order amount: at least 20.00 USD",
    ),
    "eligibility.min_order_amount_exclusive": (
        {"eligibility": USD | {"min_order_amount": "20.00", "min_order_amount_exclusive": True}},
        "order amount: more than 20.00 USD",
    ),
    "eligibility.min_quantity": ({"eligibility": {"min_quantity": 3}}, "quantity: at least 3 units"),
    "eligibility.currency": ({"eligibility": USD}, "currency: USD"),
    "eligibility.channels": ({"eligibility": {"channels": ["web"]}}, "channels: web"),
    "eligibility.holder_only": ({"eligibility": {"holder_only": True}}, "customers: only the holder of the coupon"),
    "eligibility.first_order_only": ({"eligibility": {"first_order_only": True}}, "orders: only a customer's first"),
    "eligibility.segments_any": ({"eligibility": {"segments_any": ["a", "b"]}}, "any segment of: a, b"),
    "eligibility.segments_all": ({"eligibility": {"segments_all": ["a"]}}, "all segments of: a"),
    "eligibility.segments_none": ({"eligibility": {"segments_none": ["a"]}}, "no segment of: a"),
    "eligibility.conditions": (
        {"eligibility": {"conditions": [{"name": "large", "expression": "order.lines.size() > 3"}]}},
        "condition: large: order.lines.size() > 3",
    ),
    "stacking.policy": ({"stacking": {"policy": "combinable"}}, "stacking: combinable"),
    "stacking.group": ({"stacking": {"group": "g"}}, "stacking: exclusive, one coupon of the group g"),
    "stacking.priority": ({"stacking": {"priority": 3}}, "stacking: exclusive, priority 3"),
    "stacking.max_coupons": ({"stacking": {"max_coupons": 2}}, "stacking: exclusive, at most 2 coupons on an order"),
    "issues_on": (
        {"issues_on": [{"event": "customer.signed_up", "to": "both", "coupons": 2, "condition": "event.data.x == 1"}]},
        "issued on: customer.signed_up, if event.data.x == 1: 2 coupons to the customer and the referrer each",
    ),
    "source.kind": ({"source": {"kind": "pool"}}, "codes from: pool"),
    "source.url": (
        {"source": {"kind": "external", "url": "https://codes.example.com/"}},
        "codes from: external, https://codes.example.com/",
    ),
    "source.headers": (
        {"source": {"kind": "external", "url": "https://codes.example.com/", "headers": {"X-Key": "secret-1"}}},
        "headers: X-Key",
    ),
    "source.without_code": ({"source": {"without_code": True}}, "without code: yes"),
    "restore_on": ({"restore_on": []}, "restored on: nothing; a use stays used"),
    "on_return": ({"on_return": "rejudge"}, "returned in part: judged again on what is left"),
    "restore_days": ({"restore_days": 7}, "restored after its end: valid for 7 days more"),
    "recurring": ({"recurring": True}, "recurring: each order of a subscription"),
    "validation_code": ({"validation_code": "secret-2"}, "validation code: required"),
    "metadata": ({"metadata": {"team": "crm"}}, 'metadata: {"team": "crm"}'),
}


@pytest.mark.parametrize("field", SECTIONS)
def test_a_field_that_is_set_is_shown(field: str) -> None:
    fields, fact = SECTIONS[field]
    facts = shown(**fields)
    assert fact in facts
    assert "secret" not in " ".join(facts)


def _fields(model: type[BaseModel], place: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _fields(field.annotation, f"{place}{name}.")
        else:
            yield place + name


def test_every_field_of_a_campaign_is_shown() -> None:
    described = {f"discount.{name}" for name in ("kind", "value", "currency", "max_discount", "per_unit", "product_id")}
    assert set(_fields(CampaignDefinition)) == {"campaign_id", *described, *SECTIONS}


def test_several_rules_are_shown_one_by_one() -> None:
    rules = [{"event": "customer.signed_up"}, {"event": "reward.earned", "match": {"rule_id": "42"}}]
    facts = shown(issues_on=rules)
    assert facts[-3:-1] == ["issued on: customer.signed_up", "issued on: reward.earned (rule_id=42)"]
    assert occasions(campaign(issues_on=rules)) == "customer.signed_up, reward.earned (rule_id=42)"


def test_a_long_list_is_cut() -> None:
    ids = [str(number) for number in range(1_000 + MAX_LISTED)]
    [products] = [fact for fact in shown(applies_to={"product_ids": ids}) if fact.startswith("products")]
    assert products.endswith("18, 19 and 1,000 more; --json prints all")


def test_a_window_in_days() -> None:
    year = {"starts_at": "2026-01-01", "ends_at": "2027-01-01", "valid_for": "P30D"}
    assert window(campaign(window=year)) == "2026-01-01 to 2027-01-01, 30 d each"
    assert window(campaign(window={"until": "end_of_day"})) == "each until the end of the day of its issue"


def test_a_field_of_eligibility_without_words_is_shown_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign_texts, "DESCRIBED", DESCRIBED - {"min_quantity", "channels"})
    facts = shown(eligibility={"min_quantity": 3, "channels": ["app", "web"]})
    assert {"min quantity: 3", "channels: app, web"} <= set(facts)
    assert "min quantity" not in " ".join(shown(eligibility={"currency": "USD"}))
