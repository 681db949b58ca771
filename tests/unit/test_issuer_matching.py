"""The campaigns whose coupons an event issues."""

from collections.abc import Mapping
from typing import Any

import pytest

from schemas.common import Event
from shared.domain.model.campaign import Campaign, CampaignStatus, Condition, DiscountOffer, IssueRule
from shared.ledger.conditions import EVENT_VARIABLES, compile_condition
from shared.ledger.matching import MatchIndex, WantedCoupons, field_text
from tests.received_events import reward, signup

REWARD = "reward.earned"
SIGNUP = "customer.signed_up"


def campaign(campaign_id: str, *rules: IssueRule, status: CampaignStatus = "active") -> Campaign:
    return Campaign(campaign_id, DiscountOffer("percentage", "10"), status=status, issues_on=rules)


def rule(event: str, **match: str) -> IssueRule:
    return IssueRule(event, tuple((name.replace("__", "."), value) for name, value in match.items()))


def index(*campaigns: Campaign) -> MatchIndex:
    return MatchIndex({entry.campaign_id: entry for entry in campaigns})


def one(*campaign_ids: str) -> WantedCoupons:
    """Return one coupon of each for the event's own customer."""
    return WantedCoupons(tuple((campaign_id, 1) for campaign_id in campaign_ids))


def earned(**fields: Any) -> Event:
    return reward(**fields).data


@pytest.mark.parametrize(
    ("match", "fields", "matches"),
    [
        ({}, {}, True),
        ({}, {"rule_id": "42"}, True),
        ({"rule_id": "42"}, {"rule_id": "42"}, True),
        ({"rule_id": "42"}, {"rule_id": "43"}, False),
        ({"rule_id": "42"}, {"rule_id": " 42"}, False),
        ({"rule_id": "42"}, {"rule_id": None}, False),
        ({"rule_id": "42"}, {}, False),
        ({"points": "500"}, {"points": 500}, True),
        ({"points": "500"}, {"points": 501}, False),
        ({"points": "-5"}, {"points": -5}, True),
        ({"points": "0"}, {}, False),
        ({"reward_id": "rw-1"}, {}, True),
        ({"metadata__tier": "gold"}, {"metadata": {"tier": "gold"}}, True),
        ({"metadata__tier": "gold"}, {"metadata": {"tier": "silver"}}, False),
        ({"metadata__tier": "gold"}, {"metadata": {}}, False),
        ({"metadata__tier": "gold"}, {"metadata": None}, False),
        ({"metadata__tier": "gold"}, {}, False),
        ({"metadata__level": "3"}, {"metadata": {"level": 3}}, True),
        ({"metadata__share": "0.5"}, {"metadata": {"share": 0.5}}, True),
        ({"metadata__vip": "true"}, {"metadata": {"vip": True}}, True),
        ({"metadata__vip": "True"}, {"metadata": {"vip": True}}, False),
        ({"metadata__tiers": "gold"}, {"metadata": {"tiers": ["gold"]}}, False),
        ({"metadata__a.b": "x"}, {"metadata": {"a.b": "x"}}, True),
        ({"metadata__tier": "None"}, {"metadata": {"tier": None}}, False),
        ({"metadata": "{}"}, {"metadata": {}}, False),
        ({"customer": "c1"}, {}, False),
        ({"model_config": "x"}, {}, False),
        ({"nowhere": "x"}, {}, False),
        ({"rule_id": "42", "metadata__tier": "gold"}, {"rule_id": "42", "metadata": {"tier": "gold"}}, True),
        ({"rule_id": "42", "metadata__tier": "gold"}, {"rule_id": "42"}, False),
        ({"rule_id": "42", "metadata__tier": "gold"}, {"rule_id": "7", "metadata": {"tier": "gold"}}, False),
    ],
)
def test_a_rule_matches_when_each_of_its_fields_has_its_value(
    match: Mapping[str, str], fields: dict[str, Any], matches: bool
) -> None:
    asked = index(campaign("a", rule(REWARD, **match)))

    assert asked.matching(REWARD, earned(**fields)) == (one("a") if matches else WantedCoupons())


def test_a_rule_of_another_event_does_not_match() -> None:
    asked = index(campaign("a", rule(SIGNUP)), campaign("b", rule(REWARD)))

    assert asked.matching(REWARD, earned()) == one("b")
    assert asked.matching(SIGNUP, signup().data) == one("a")


def test_a_sign_up_matches_by_its_own_fields() -> None:
    asked = index(campaign("web", rule(SIGNUP, channel="web")), campaign("friend", rule(SIGNUP, referred_by="c9")))

    assert asked.matching(SIGNUP, signup(channel="web").data) == one("web")
    assert asked.matching(SIGNUP, signup(channel="web", referred_by="c9").data) == one("friend", "web")
    assert asked.matching(SIGNUP, signup(channel="shop").data) == WantedCoupons()


def test_matching_campaigns_come_sorted_and_once_however_many_rules_match() -> None:
    asked = index(
        campaign("c", rule(REWARD)),
        campaign("b", rule(REWARD, rule_id="42"), rule(REWARD), rule(REWARD, points="5")),
        campaign("a", rule(REWARD, rule_id="42")),
    )

    assert asked.matching(REWARD, earned(rule_id="42", points=5)) == one("a", "b", "c")


def test_the_order_of_a_rules_fields_does_not_matter() -> None:
    points_first = IssueRule(REWARD, (("points", "5"), ("rule_id", "42")))
    rule_first = IssueRule(REWARD, (("rule_id", "42"), ("points", "5")))

    assert index(campaign("a", points_first), campaign("b", rule_first)).matching(
        REWARD, earned(rule_id="42", points=5)
    ) == one("a", "b")


def test_one_rule_issues_the_coupons_of_all_its_campaigns_among_thousands() -> None:
    asked = index(*(campaign(f"cj-{n % 30}-{n}", rule(REWARD, rule_id=str(n % 30))) for n in range(3_000)))

    found = [campaign_id for campaign_id, _ in asked.matching(REWARD, earned(rule_id="18")).customer]

    assert len(found) == 100
    assert found == sorted(f"cj-18-{n}" for n in range(3_000) if n % 30 == 18)


@pytest.mark.parametrize(("status", "matches"), [("active", True), ("paused", True), ("archived", False)])
def test_an_archived_campaign_matches_nothing_and_a_paused_one_is_left_to_the_decision(
    status: CampaignStatus, matches: bool
) -> None:
    asked = index(campaign("a", rule(REWARD), status=status))

    assert asked.matching(REWARD, earned()) == (one("a") if matches else WantedCoupons())


@pytest.mark.parametrize(
    ("rules", "named"),
    [
        ((rule(REWARD),), ("a",)),
        ((rule(REWARD, campaign_id="a"),), ("a",)),
        ((rule(REWARD, rule_id="42"),), ("a",)),
        ((rule(REWARD, rule_id="43"), rule(REWARD, campaign_id="a")), ("a",)),
        ((rule(REWARD, rule_id="43"),), ()),
        ((rule(SIGNUP),), ()),
        ((), ()),
    ],
)
def test_a_named_campaign_counts_only_with_a_rule_that_matches(
    rules: tuple[IssueRule, ...], named: tuple[str, ...]
) -> None:
    data = earned(campaign_id="a", rule_id="42")

    assert index(campaign("a", *rules), campaign("b", rule(REWARD))).named("a", REWARD, data) == one(*named)


def test_a_named_campaign_that_does_not_exist_is_passed_on() -> None:
    assert index().named("gone", REWARD, earned(campaign_id="gone")) == one("gone")


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        ([{"to": "referrer"}], WantedCoupons((), (("a", 1),))),
        ([{"to": "both"}], WantedCoupons((("a", 1),), (("a", 1),))),
        ([{"to": "both", "coupons": 3}], WantedCoupons((("a", 3),), (("a", 3),))),
        # of several rules, each receiver gets the largest number, never the sum
        ([{"to": "both", "coupons": 2}, {"coupons": 5}, {"coupons": 3}], WantedCoupons((("a", 5),), (("a", 2),))),
        ([{"to": "referrer", "coupons": 4}, {"to": "both"}], WantedCoupons((("a", 1),), (("a", 4),))),
        ([{"coupons": 9, "match": (("channel", "shop"),)}, {"coupons": 2}], WantedCoupons((("a", 2),))),
    ],
)
def test_each_receiver_gets_the_greatest_number_that_a_rule_gives(
    rules: list[dict[str, Any]], asked: WantedCoupons
) -> None:
    found = index(campaign("a", *(IssueRule(SIGNUP, **fields) for fields in rules)))

    assert found.matching(SIGNUP, signup(referred_by="c9", channel="web").data) == asked


@pytest.mark.parametrize(
    ("expression", "fields", "matches"),
    [
        ("event.points >= 500", {"points": 500}, True),
        ("event.points >= 500", {"points": 499}, False),
        ("event.points >= 500", {}, False),  # an expression that can't be evaluated is false
        (
            'event.customer.segments.exists(s, s == "vip")',
            {"customer": {"customer_id": "c", "segments": ["vip"]}},
            True,
        ),
        ('event.metadata.tier in ["gold", "platinum"]', {"metadata": {"tier": "gold"}}, True),
        ('timestamp(event.earned_at) < timestamp("2026-06-01T00:00:00Z")', {}, True),
        ("has(event.rule_id)", {"rule_id": "42"}, True),
        ("has(event.rule_id)", {"rule_id": None}, False),
        ("has(event.rule_id)", {}, False),
    ],
)
def test_a_rule_matches_only_while_its_condition_holds(expression: str, fields: dict[str, Any], matches: bool) -> None:
    condition = Condition("issues_on[0].condition", expression, compile_condition(expression, EVENT_VARIABLES))
    only = campaign("a", IssueRule(REWARD, condition=condition))

    assert index(only).matching(REWARD, earned(**fields)) == (one("a") if matches else WantedCoupons())
    assert index(only).named("a", REWARD, earned(**fields)) == (one("a") if matches else WantedCoupons())


def test_a_condition_is_evaluated_only_if_the_fields_match() -> None:
    judged: list[Any] = []

    def holds(values: Mapping[str, Any]) -> bool:
        judged.append(values["event"]["rule_id"])
        return True

    condition = Condition("issues_on[0].condition", "true", holds)
    asked = index(campaign("a", IssueRule(REWARD, (("rule_id", "42"),), condition)))

    assert asked.matching(REWARD, earned(rule_id="43")) == WantedCoupons()
    assert asked.matching(REWARD, earned(rule_id="42")) == one("a")
    assert judged == ["42"]


def test_a_field_is_compared_as_text() -> None:
    data = earned(points=7, metadata={"n": 1.50, "off": False})

    assert field_text(data, "points") == "7"
    assert field_text(data, "metadata.n") == "1.5"
    assert field_text(data, "metadata.off") == "false"
    assert field_text(data, "metadata.absent") is None
    assert field_text(data, "earned_at") is None
