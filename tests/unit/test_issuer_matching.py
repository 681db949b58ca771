"""Which campaigns an event issues coupons of."""

from collections.abc import Mapping
from typing import Any

import pytest

from schemas.common import Event
from services.issuer.matching import MatchIndex, field_text
from shared.domain.campaign import Campaign, CampaignStatus, DiscountOffer, IssueRule
from tests.received_events import reward, signup

REWARD = "reward.earned"
SIGNUP = "customer.signed_up"


def campaign(campaign_id: str, *rules: IssueRule, status: CampaignStatus = "active") -> Campaign:
    return Campaign(campaign_id, DiscountOffer("percentage", "10"), status=status, issues_on=rules)


def rule(event: str, **match: str) -> IssueRule:
    return IssueRule(event, tuple((name.replace("__", "."), value) for name, value in match.items()))


def index(*campaigns: Campaign) -> MatchIndex:
    return MatchIndex({entry.campaign_id: entry for entry in campaigns})


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

    assert asked.matching(REWARD, earned(**fields)) == (("a",) if matches else ())


def test_a_rule_of_another_event_does_not_match() -> None:
    asked = index(campaign("a", rule(SIGNUP)), campaign("b", rule(REWARD)))

    assert asked.matching(REWARD, earned()) == ("b",)
    assert asked.matching(SIGNUP, signup().data) == ("a",)


def test_a_sign_up_matches_by_its_own_fields() -> None:
    asked = index(campaign("web", rule(SIGNUP, channel="web")), campaign("friend", rule(SIGNUP, referred_by="c9")))

    assert asked.matching(SIGNUP, signup(channel="web").data) == ("web",)
    assert asked.matching(SIGNUP, signup(channel="web", referred_by="c9").data) == ("friend", "web")
    assert asked.matching(SIGNUP, signup(channel="shop").data) == ()


def test_matching_campaigns_come_sorted_and_once_however_many_rules_match() -> None:
    asked = index(
        campaign("c", rule(REWARD)),
        campaign("b", rule(REWARD, rule_id="42"), rule(REWARD), rule(REWARD, points="5")),
        campaign("a", rule(REWARD, rule_id="42")),
    )

    assert asked.matching(REWARD, earned(rule_id="42", points=5)) == ("a", "b", "c")


def test_the_order_in_which_a_rule_names_its_fields_is_nothing() -> None:
    one = IssueRule(REWARD, (("points", "5"), ("rule_id", "42")))
    other = IssueRule(REWARD, (("rule_id", "42"), ("points", "5")))

    assert index(campaign("a", one), campaign("b", other)).matching(REWARD, earned(rule_id="42", points=5)) == (
        "a",
        "b",
    )


def test_one_rule_issues_the_coupons_of_all_its_campaigns_among_thousands() -> None:
    asked = index(*(campaign(f"cj-{n % 30}-{n}", rule(REWARD, rule_id=str(n % 30))) for n in range(3_000)))

    found = asked.matching(REWARD, earned(rule_id="18"))

    assert len(found) == 100
    assert list(found) == sorted(f"cj-18-{n}" for n in range(3_000) if n % 30 == 18)


@pytest.mark.parametrize(("status", "matches"), [("active", True), ("paused", True), ("archived", False)])
def test_an_archived_campaign_matches_nothing_and_a_paused_one_is_left_to_the_decision(
    status: CampaignStatus, matches: bool
) -> None:
    asked = index(campaign("a", rule(REWARD), status=status))

    assert asked.matching(REWARD, earned()) == (("a",) if matches else ())


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

    assert index(campaign("a", *rules), campaign("b", rule(REWARD))).named("a", REWARD, data) == named


def test_a_named_campaign_that_does_not_exist_is_passed_on() -> None:
    assert index().named("gone", REWARD, earned(campaign_id="gone")) == ("gone",)


def test_a_field_is_compared_as_text() -> None:
    data = earned(points=7, metadata={"n": 1.50, "off": False})

    assert field_text(data, "points") == "7"
    assert field_text(data, "metadata.n") == "1.5"
    assert field_text(data, "metadata.off") == "false"
    assert field_text(data, "metadata.absent") is None
    assert field_text(data, "earned_at") is None
