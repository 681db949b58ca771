"""Campaign definitions: their conversion to the domain, and messages for invalid ones."""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.campaigns import CampaignDefinition, EligibilityDefinition
from schemas.parsing import InvalidDocumentError, parse
from shared.domain.model.campaign import (
    Cap,
    CodeRule,
    DiscountOffer,
    Eligibility,
    IssueRule,
    Limits,
    Scope,
    Source,
    Window,
)
from shared.ledger.definitions import DefinitionError, to_domain

SAVE10: dict[str, Any] = {
    "campaign_id": "save10",
    "name": "Ten percent off",
    "discount": {"kind": "percentage", "value": "10", "max_discount": "50.00"},
    "code": {"pattern": "SAVE-####-####"},
    "limits": {"uses_per_coupon": 1, "uses_per_customer": 1, "coupons_total": 100_000, "coupons_per_customer": 1},
    "window": {"starts_at": "2026-01-01T00:00:00Z", "ends_at": "2027-01-01T00:00:00Z", "valid_for": "P30D"},
    "eligibility": {"min_order_amount": "100.00", "currency": "USD", "holder_only": True},
    "stacking": {"policy": "combinable", "priority": 3},
    "issues_on": [{"event": "customer.signed_up"}, {"event": "reward.earned", "match": {"rule_id": "42"}}],
    "restore_on": ["order.cancelled"],
}
"""Based on the contract's campaign.json."""


def changed(**sections: Any) -> CampaignDefinition:
    """Return SAVE10 with fields of its sections replaced."""
    document = json.loads(json.dumps(SAVE10))
    for name, value in sections.items():
        document[name] = {**document.get(name, {}), **value} if isinstance(value, dict) else value
    return parse(CampaignDefinition, json.dumps(document).encode())


def parts(**fields: Any) -> dict[str, Any]:
    """Return a code with prefix, length and suffix instead of a pattern."""
    return {"pattern": None, **fields}


@pytest.mark.parametrize(
    ("code", "pattern"),
    [
        (parts(), None),
        (parts(prefix="SAVE-"), "SAVE-####-####-####"),
        (parts(suffix="-26"), "####-####-####-26"),
        (parts(prefix="A-", length=10, suffix="-Z"), "A-##########-Z"),
        (parts(length=12, charset="0123456789"), "############"),
    ],
)
def test_prefix_length_and_suffix_become_a_pattern(code: dict[str, Any], pattern: str | None) -> None:
    assert to_domain(changed(code=code), 0).code == CodeRule(pattern, code.get("charset"), None)


def test_the_contracts_campaign_is_converted_to_the_domain() -> None:
    made = to_domain(changed(), 7)
    assert (made.campaign_id, made.name, made.status, made.version) == ("save10", "Ten percent off", "active", 7)
    assert made.discount == DiscountOffer("percentage", "10", 10, 1, 0, 5_000)
    assert made.code == CodeRule("SAVE-####-####", None, None)
    assert made.limits == Limits(1, 1, None, 100_000, 1)
    assert made.window == Window(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC), timedelta(days=30))
    assert (made.currency, made.eligibility.min_order_minor, made.eligibility.min_order_exclusive) == (
        "USD",
        10_000,
        False,
    )
    assert (made.eligibility.holder_only, made.stacking.policy, made.stacking.priority) == (True, "combinable", 3)
    assert made.issues_on == (
        IssueRule("customer.signed_up"),
        IssueRule("reward.earned", (("rule_id", "42"),)),
    )
    assert (made.source, made.scope) == (Source(), Scope())
    assert (made.restore_on, made.on_return, made.restore_days) == ({"order.cancelled"}, "share", 0)


def test_a_campaign_says_what_returns_restore() -> None:
    made = to_domain(changed(on_return="rejudge", restore_days=7), 0)
    assert (made.on_return, made.restore_days) == ("rejudge", 7)


@pytest.mark.parametrize("value", ["again", "", None, True])
def test_a_campaign_that_says_it_wrongly_is_refused_with_what_it_may_say(value: Any) -> None:
    with pytest.raises(InvalidDocumentError, match=r"on_return: .*'share' or 'rejudge'"):
        changed(on_return=value)


def test_a_budget_uses_the_campaigns_currency_and_caps_its_clock() -> None:
    caps = [{"per": "day", "uses": 5}, {"per": "month", "each": "customer", "coupons": 2}]
    limits = {"spend_total": "5000.00", "caps": caps}
    made = to_domain(changed(limits=limits, window={"time_zone": "Asia/Tokyo"}), 0)
    assert made.limits.spend_total_minor == 500_000
    assert made.limits.caps == (Cap("day", uses=5), Cap("month", "customer", coupons=2))
    assert str(made.window.zone) == "Asia/Tokyo"


@pytest.mark.parametrize(
    ("discount", "currency", "offer"),
    [
        ({"value": "12.5", "max_discount": None}, "USD", DiscountOffer("percentage", "12.5", 125, 10)),
        ({"value": "100", "max_discount": None}, "USD", DiscountOffer("percentage", "100", 100, 1)),
        (
            {"kind": "fixed", "value": "5", "currency": "USD", "max_discount": None},
            "USD",
            DiscountOffer("fixed", "5", amount_minor=500),
        ),
        (
            {"kind": "fixed", "value": "1.500", "currency": "KWD", "max_discount": None},
            "KWD",
            DiscountOffer("fixed", "1.500", amount_minor=1_500),
        ),
        (
            {"kind": "fixed", "value": "500", "currency": "JPY", "max_discount": "400"},
            "JPY",
            DiscountOffer("fixed", "500", amount_minor=500, max_discount_minor=400),
        ),
    ],
)
def test_discounts_are_exact(discount: dict[str, Any], currency: str, offer: DiscountOffer) -> None:
    definition = changed(discount=discount, eligibility={"currency": currency, "min_order_amount": None})
    assert to_domain(definition, 0).discount == offer


@pytest.mark.parametrize(
    ("window", "starts_at", "ends_at"),
    [
        ({"starts_at": "2026-11-01", "ends_at": "2026-12-01"}, (2026, 11, 1, 0), (2026, 12, 1, 0)),
        (
            {"starts_at": "2026-11-01", "ends_at": "2026-12-01", "time_zone": "Europe/Berlin"},
            (2026, 10, 31, 23),
            (2026, 11, 30, 23),
        ),
        # the clocks change between the two
        (
            {"starts_at": "2026-10-25", "ends_at": "2026-10-26", "time_zone": "Europe/Berlin"},
            (2026, 10, 24, 22),
            (2026, 10, 25, 23),
        ),
        (
            {"starts_at": "2026-11-01T00:00:00+05:00", "ends_at": "2026-12-01", "time_zone": "Asia/Kolkata"},
            (2026, 10, 31, 19),
            (2026, 11, 30, 18, 30),
        ),
    ],
)
def test_a_date_alone_is_the_start_of_that_day_in_the_campaigns_time_zone(
    window: dict[str, str], starts_at: tuple[int, ...], ends_at: tuple[int, ...]
) -> None:
    made = to_domain(changed(window=window), 0).window
    assert made.starts_at == datetime(*starts_at, tzinfo=UTC)  # type: ignore[misc,arg-type]
    assert made.ends_at == datetime(*ends_at, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("sections", "says"),
    [
        (
            {"eligibility": {"min_order_amount": "100.001"}},
            "`eligibility.min_order_amount`: The amount '100.001' has 3",
        ),
        ({"discount": {"max_discount": "0.00"}}, "`discount.max_discount` is 0"),
        ({"limits": {"spend_total": "0.00"}}, "`limits.spend_total` is 0, so no coupon could take anything off"),
        ({"eligibility": {"currency": "XXX"}}, "Unknown currency 'XXX'"),
        (
            {
                "discount": {"kind": "fixed", "value": "1.5", "currency": "JPY", "max_discount": None},
                "eligibility": {"currency": "JPY", "min_order_amount": None},
            },
            "`discount.value`: The amount '1.5' has 1 decimals, but JPY has 0",
        ),
        ({"window": {"starts_at": "2026-05-01", "ends_at": "2026-05-01"}}, "`window.ends_at`"),
        (
            {"window": {"ends_at": "0001-01-01", "starts_at": None, "time_zone": "Asia/Tokyo"}},
            "outside the supported years",
        ),
        (
            {"code": {"pattern": "SAVE-##"}},
            "`code.pattern`: The pattern 'SAVE-##' makes 961 codes, too few for 100,000",
        ),
        (
            {"code": {"pattern": "####-####-####", "charset": "AA"}},
            "`code.charset`: The charset 'AA' holds a character",
        ),
        ({"code": {"pattern": "SAVE"}}, "`code.pattern`: The pattern 'SAVE' has no #"),
        ({"code": parts(prefix="SAVE-", length=4)}, "`code.length`: The pattern 'SAVE-####' makes 923,521 codes"),
        ({"code": parts(length=4)}, "`code.length`: The pattern '####' makes 923,521 codes"),
        ({"code": parts(prefix="S" * 60, length=10)}, "`code.length`: The pattern"),
        (
            {"code": parts(prefix="SÄVE-", length=12)},
            "`code.prefix`: The pattern 'SÄVE-############' must be printable",
        ),
        ({"code": parts(suffix="-X ", length=12)}, "`code.suffix`: The pattern '############-X ' must be printable"),
        ({"code": parts(prefix="A", charset="A?")}, "`code.charset`: The charset 'A?' may hold only"),
        (
            {"code": {"pattern": None, "shared_code": "HELLO"}},
            "`window.valid_for` can't be combined with `code.shared_code`",
        ),
        (
            {"code": {"pattern": None, "shared_code": "HELLO"}, "window": {"valid_for": None}},
            "`eligibility.holder_only` can't be combined with `code.shared_code`",
        ),
        (
            {
                "code": {"pattern": None, "shared_code": "HELLO"},
                "window": {"valid_for": None},
                "source": {"kind": "pool"},
            },
            "`source.kind` can't be combined with `code.shared_code`",
        ),
        (
            {"code": {"pattern": None, "shared_code": "A\u0007B"}, "window": {"valid_for": None}},
            "`code.shared_code` must be printable",
        ),
    ],
)
def test_an_invalid_definition_is_refused_with_its_field(sections: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        to_domain(changed(**sections), 0)
    assert says in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"issues_on": [{"event": "reward.earned"}, {"event": "reward.earned", "condition": "event.points >"}]},
            "`issues_on[1].condition`: ",
        ),
        ({"issues_on": [{"event": "reward.earned", "condition": "order.amount > 1.0"}]}, "`issues_on[0].condition`: "),
        (
            {
                "issues_on": [{"event": "customer.signed_up", "to": "both"}],
                "source": {"kind": "external", "url": "https://codes.example"},
            },
            "`issues_on[0].to` is both, but an external source needs an email address",
        ),
    ],
)
def test_an_issue_rule_that_can_never_match_is_refused_with_its_place(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        to_domain(changed(**changes), 0)
    assert str(caught.value).startswith(says)


def test_an_issue_rule_is_converted_to_the_domain() -> None:
    rule = {"event": "customer.signed_up", "to": "both", "coupons": 3, "condition": 'event.channel == "web"'}
    (made,) = to_domain(changed(issues_on=[rule]), 0).issues_on
    assert (made.to, made.coupons) == ("both", 3)
    assert made.condition is not None
    assert (made.condition.name, made.condition.expression) == ("issues_on[0].condition", 'event.channel == "web"')
    assert made.condition.is_true({"event": {"channel": "web"}})
    assert not made.condition.is_true({"event": {"channel": None}})


def test_shared_codes_and_codes_of_other_sources_need_no_pattern() -> None:
    shared = changed(
        code={"pattern": None, "shared_code": "HELLO"},
        window={"valid_for": None},
        eligibility={"holder_only": False},
    )
    assert to_domain(shared, 0).code.shared_code == "HELLO"
    assert to_domain(changed(source={"kind": "pool"}, code={"pattern": None}), 0).source.kind == "pool"


def test_an_exclusive_minimum_needs_a_minimum() -> None:
    exclusive = {"min_order_amount_exclusive": True}
    assert to_domain(changed(eligibility=exclusive), 0).eligibility.min_order_exclusive
    assert not to_domain(
        changed(eligibility={**exclusive, "min_order_amount": None}), 0
    ).eligibility.min_order_exclusive


ELIGIBILITY: dict[str, tuple[Any, str, Any]] = {
    "min_order_amount": ("12.50", "min_order_minor", 1_250),
    "min_order_amount_exclusive": (True, "min_order_exclusive", True),
    "min_quantity": (3, "min_quantity", 3),
    "channels": (["app", "web"], "channels", frozenset({"app", "web"})),
    "holder_only": (True, "holder_only", True),
    "first_order_only": (True, "first_order_only", True),
    "segments_any": (["a", "b"], "segments_any", frozenset({"a", "b"})),
    "segments_all": (["c"], "segments_all", frozenset({"c"})),
    "segments_none": (["d"], "segments_none", frozenset({"d"})),
    "conditions": ([{"name": "big", "expression": "order.amount > 1.0"}], "conditions", "big"),
}
"""Field of a campaign file → (its value there, the domain's field, the domain's value)."""


@pytest.mark.parametrize("name", sorted(EligibilityDefinition.model_fields.keys() - {"currency"}))
def test_every_field_of_eligibility_arrives_in_the_domain(name: str) -> None:
    written, field, expected = ELIGIBILITY[name]
    plain = {"campaign_id": "a", "discount": {"kind": "percentage", "value": "10"}}
    needed = {"currency": "USD", **({"min_order_amount": "1"} if name == "min_order_amount_exclusive" else {})}
    without, given = (
        to_domain(parse(CampaignDefinition, json.dumps({**plain, "eligibility": section}).encode()), 0).eligibility
        for section in (needed, {**needed, name: written})
    )
    assert getattr(without, field) == getattr(Eligibility(), field)
    found = getattr(given, field)
    assert (found[0].name if name == "conditions" else found) == expected


def test_every_field_of_eligibility_in_the_domain_comes_from_a_field_of_a_file() -> None:
    assert {field for _, field, _ in ELIGIBILITY.values()} == {field.name for field in fields(Eligibility)}
