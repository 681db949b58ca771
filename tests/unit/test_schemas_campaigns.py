"""The model of campaigns: accepted and refused documents, and the error texts."""

import json
import warnings
from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition
from schemas.parsing import parse
from tests.unit.test_schemas import example, refusal


def campaign(**sections: Any) -> bytes:
    return json.dumps({**example("campaign"), **sections}).encode()


def test_the_example_campaign_is_read_and_written_again_without_loss() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        definition = parse(CampaignDefinition, campaign())
        assert json.loads(definition.model_dump_json(exclude_unset=True)) == example("campaign")
    assert parse(CampaignDefinition, definition.model_dump_json().encode()) == definition


def test_a_campaign_needs_only_an_id_and_a_discount() -> None:
    definition = parse(CampaignDefinition, b'{"campaign_id": "a", "discount": {"kind": "percentage", "value": 12.50}}')
    assert (definition.status, definition.discount.value, definition.stacking.policy) == (
        "active",
        "12.50",
        "exclusive",
    )


def test_a_window_may_be_given_in_days_and_keeps_them() -> None:
    definition = parse(CampaignDefinition, campaign(window={"starts_at": "2026-01-01", "ends_at": "2026-02-01"}))
    assert json.loads(definition.model_dump_json())["window"]["ends_at"] == "2026-02-01"


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ({"discont": {}}, "discont: is not a known field; correct or remove it."),
        ({"limits": {"use_per_coupon": 1}}, "limits.use_per_coupon: is not a known field"),
        ({"campaign_id": ""}, "campaign_id: must not be empty."),
        ({"status": "on"}, "status: must be 'active', 'paused' or 'archived'."),
        (
            {"discount": {"kind": "free", "value": "1"}},
            "discount.kind: must be 'percentage', 'fixed', 'fixed_rate', 'free_",
        ),
        ({"discount": {"kind": "percentage", "value": "0.00"}}, "discount: value is 0, so no coupon would"),
        ({"discount": {"kind": "percentage", "value": 100.01}}, "discount: value is 100.01 percent; a percentage is"),
        (
            {"discount": {"kind": "percentage", "value": "-5"}},
            'discount.value: is negative; write what it takes off or limits, for example "5".',
        ),
        (
            {"discount": {"kind": "fixed_rate", "value": "5"}},
            "discount: currency is missing; a fixed_rate discount needs",
        ),
        (
            {"discount": {"kind": "fixed", "value": "5", "currency": "EUR"}},
            "Discount.currency and eligibility.currency differ (EUR, USD).",
        ),
        ({"eligibility": {"min_order_amount": "5"}}, "The amount discount.max_discount needs a currency; give"),
        (
            {"limits": {"uses_total": 0}},
            "limits.uses_total: is 0, which would allow nothing; leave it out for no limit",
        ),
        ({"limits": {"uses_total": "5"}}, "limits.uses_total: must be a whole number."),
        ({"window": {"valid_for": "P0D"}}, "window.valid_for: must be more than 0 and at most 100 years"),
        ({"window": {"valid_for": "P200Y"}}, "window.valid_for: must be more than 0 and at most 100 years"),
        ({"recurring_cycles": 3}, "The number recurring_cycles is one of a subscription's orders; add recurring: true"),
        ({"recurring": True, "recurring_cycles": 0}, "recurring_cycles: must be greater than or equal to 1."),
        (
            {"window": {"remind_days": 3, "ends_at": None, "valid_for": None}},
            "window: remind_days needs coupons that end",
        ),
        ({"window": {"valid_for": "0 days"}}, "window.valid_for: must be at least 1 and at most 36,525 days, for"),
        ({"window": {"valid_for": "1201 months"}}, "window.valid_for: must be at least 1 and at most 1,200 months"),
        ({"window": {"valid_for": 30}}, 'window.valid_for: is a number without a unit; write "30 days"'),
        ({"window": {"valid_for": "1.5 months"}}, 'window.valid_for: must be a span of the calendar ("30 days", "2'),
        ({"window": {"until": "end_of_year"}}, "window.until: must be 'end_of_day', 'end_of_week' or 'end_of_month'"),
        ({"window": {"ends_at": "soon"}}, 'window.ends_at: must be a date ("2026-12-31"), or a date and time ('),
        ({"window": {"ends_at": "2026-02-30"}}, "window.ends_at: is not a day of the calendar."),
        ({"window": {"ends_at": "2026-02-01T00:61:00"}}, "window.ends_at: is not a time of day; write hours from 00"),
        ({"window": {"time_zone": "Mars/Olympus"}}, "window.time_zone: is not a time zone; write one as"),
        ({"window": {"time_zone": "../../etc/passwd"}}, "window.time_zone: is not a time zone; write one as"),
        ({"code": {"pattern": "A-##", "shared_code": "A"}}, "code: pattern and shared_code are both given; keep one"),
        ({"source": {"kind": "external"}}, "source: url is missing; an external source needs the address of its API."),
        ({"source": {"kind": "pool", "url": "http://x"}}, 'source.url: belongs to a source of kind "external" only.'),
        ({"issues_on": [{"event": "order.placed"}]}, "issues_on[0].event: must be 'customer.signed_up' or 'reward"),
        ({"issues_on": [{"event": "reward.earned", "match": {"rule_id": 42}}]}, "issues_on[0].match.rule_id: must be"),
        (
            {"metadata": {"a": float("nan")}},
            "metadata: holds NaN or Infinity, which are not valid JSON; leave them out.",
        ),
        (
            {"metadata": {"a": [2**63]}},
            "metadata: holds an integer of more than 64 bits, which many programs can't read; send it",
        ),
        (
            {"metadata": {"a": -(10**100)}},
            "metadata: holds an integer of more than 64 bits, which many programs can't read;",
        ),
        (
            {"discount": {"kind": "custom", "payload": {"a": {"b": 2**80}}}},
            "discount.payload: holds an integer of more than 64 bits, which many programs can't read; send it as a "
            "string.",
        ),
    ],
)
def test_a_wrong_campaign_is_refused_with_its_place_and_what_to_do(section: dict[str, Any], text: str) -> None:
    assert refusal(CampaignDefinition, campaign(**section)).startswith(text)
