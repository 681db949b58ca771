"""Issuing: recipients, campaigns, validity and refusals."""

from typing import Any

import pytest

from shared.domain.coupons.issue import referred_key
from shared.domain.model.campaign import Cap
from shared.domain.model.commands import Cause, IssueCoupons
from shared.domain.model.customer import Customer
from shared.domain.model.reasons import Reason
from shared.domain.model.state import Supply
from tests.builders import (
    DAY,
    JOHN,
    MARY,
    MINUTE,
    NOW,
    CodeRule,
    Limits,
    Source,
    World,
    campaign,
    key_of,
    only_reason,
    percent,
    window,
)


def world_of(**fields: Any) -> World:
    return World((campaign("welcome", **fields),))


def test_an_issued_coupon_can_be_redeemed_at_once() -> None:
    world = world_of(holder_only=True)
    verdict = world.issue("welcome")
    assert (verdict.outcome, verdict.requested_count, verdict.customer_key) == ("issued", 1, key_of(JOHN))
    code = verdict.accepted[0].code
    assert only_reason(world.redeem(code, by=MARY)) == Reason.WRONG_CUSTOMER
    assert world.redeem(code.lower(), by=JOHN).outcome == "redeemed"


@pytest.mark.parametrize(
    ("fields", "at", "life"),
    [
        ({}, None, (NOW, None)),
        ({}, NOW - DAY, (NOW - DAY, None)),
        ({}, NOW + DAY, (NOW, None)),
        ({"window": window(valid_for=30 * DAY)}, NOW - DAY, (NOW - DAY, NOW + 29 * DAY)),
        ({"window": window(None, 10 * DAY, valid_for=30 * DAY)}, NOW, (NOW, NOW + 10 * DAY)),
        ({"window": window(None, 10 * DAY, valid_for=DAY)}, NOW, (NOW, NOW + DAY)),
        ({"window": window(None, 10 * DAY)}, NOW, (NOW, NOW + 10 * DAY)),
    ],
)
def test_a_coupons_life_begins_with_its_occasion(fields: dict[str, Any], at: Any, life: tuple[Any, Any]) -> None:
    accepted = world_of(**fields).issue("welcome", at=at).accepted[0]
    assert (accepted.starts_at, accepted.ends_at) == life


def test_an_issued_coupon_has_the_fields_of_its_offer() -> None:
    world = world_of(discount=percent("10", cap=5_000), currency="USD", limits=Limits(3))
    accepted = world.issue("welcome").accepted[0]
    assert (accepted.discount_kind, accepted.discount_value, accepted.uses) == ("percentage", "10", 3)
    assert (accepted.max_discount_minor, accepted.currency) == (5_000, "USD")
    assert world_of(limits=Limits()).issue("welcome").accepted[0].uses == 0


@pytest.mark.parametrize(
    ("fields", "codes", "reason"),
    [
        ({"status": "paused"}, "NEW", Reason.CAMPAIGN_INACTIVE),
        ({"window": window(MINUTE)}, "NEW", Reason.NOT_STARTED),
        ({"window": window(None, 0 * MINUTE)}, "NEW", Reason.EXPIRED),
        ({}, None, Reason.EXHAUSTED),
        ({"source": Source("pool")}, None, Reason.EXHAUSTED),
        ({"source": Source("external", "https://codes.example")}, None, Reason.EXHAUSTED),
        ({"source": Source("external", "https://codes.example", (), without_code=True)}, None, None),
        ({}, "NEW", None),
    ],
)
def test_issuing_is_refused_for_the_documented_reason(
    fields: dict[str, Any], codes: str | None, reason: Reason | None
) -> None:
    verdict = world_of(**fields).issue("welcome", codes=codes)
    assert only_reason(verdict) == reason
    if reason is not None:
        assert (verdict.refused[0].code, verdict.refused[0].campaign_id) == (None, "welcome")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (Source("pool"), "The code pool of campaign 'welcome' is empty."),
        (Source("external", "https://codes.example"), "The external API of campaign 'welcome' gave no code."),
    ],
)
def test_an_empty_source_is_named_in_the_message(source: Source, text: str) -> None:
    assert world_of(source=source).issue("welcome", codes=None).refused[0].message == text


def test_an_external_source_needs_an_email_address() -> None:
    command = IssueCoupons("c", Cause("reward.earned", "/loyalty", "1"), Customer("c-1", " "), ("welcome",))
    world = world_of(source=Source("external", "https://codes.example"))
    assert only_reason(world.run(command)) == Reason.CUSTOMER_REQUIRED


def test_a_missing_supply_is_a_refusal() -> None:
    command = IssueCoupons("c", Cause("reward.earned", "/loyalty", "1"), JOHN, ("welcome",))
    assert only_reason(world_of().run(command)) == Reason.EXHAUSTED


def test_an_unknown_campaign_is_not_found() -> None:
    assert only_reason(world_of().issue("nope")) == Reason.NOT_FOUND


def test_a_reward_that_matches_no_campaign_is_refused_once() -> None:
    verdict = world_of().issue()
    assert (verdict.outcome, verdict.refused[0].reason) == ("refused", Reason.NOT_FOUND)
    assert verdict.refused[0].campaign_id is None
    assert verdict.refused[0].message == "No campaign issues a coupon for this customer.signed_up."


def test_a_customer_gets_at_most_the_coupons_that_the_campaign_allows() -> None:
    world = world_of(limits=Limits(1, coupons_per_customer=1))
    assert world.issue("welcome").outcome == "issued"
    verdict = world.issue("welcome")
    assert only_reason(verdict) == Reason.CUSTOMER_LIMIT
    assert verdict.refused[0].message == "This customer already has the 1 coupon that campaign 'welcome' allows."
    assert verdict.refused[0].details == {"limit": "1", "issued": "1"}
    assert world.issue("welcome", to=MARY).outcome == "issued"


def test_a_campaign_issues_at_most_its_total_of_coupons() -> None:
    world = world_of(limits=Limits(1, coupons_total=2))
    outcomes = [world.issue("welcome", to=customer).outcome for customer in (JOHN, MARY, JOHN)]
    assert outcomes == ["issued", "issued", "refused"]
    assert world.verdicts[-1].refused[0].reason == Reason.CAMPAIGN_EXHAUSTED
    assert world.meter("welcome").issued == 2


@pytest.mark.parametrize("fields", [{"holder_only": True}, {"limits": Limits(1, coupons_per_customer=1)}])
def test_an_unidentified_customer_gets_no_coupon_that_needs_a_customer(fields: dict[str, Any]) -> None:
    world = world_of(**fields)
    world.state.supplies["c", "welcome", 0] = Supply("id", "CODE")
    command = IssueCoupons("c", Cause("customer.signed_up", "/signup", "1"), Customer(mobile="12"), ("welcome",))
    assert only_reason(world.run(command)) == Reason.CUSTOMER_REQUIRED


def test_the_same_occasion_issues_once_per_campaign() -> None:
    world = World((campaign("a"), campaign("b"), campaign("c", status="paused")))
    first = world.issue("a", "c", natural_key="reward-42")
    assert (first.outcome, first.natural_key, len(first.refused)) == ("issued", "reward-42", 1)
    again = world.issue("a", "b", natural_key="reward-42")
    assert [one.campaign_id for one in again.accepted] == ["b"]
    assert again.requested_count == 1
    assert world.issue("a", "b", natural_key="reward-42").outcome == "unchanged"
    assert world.issue("a", natural_key="reward-43").outcome == "issued"


def test_campaigns_are_judged_in_the_order_given_and_once_each() -> None:
    world = World((campaign("b"), campaign("a")))
    verdict = world.issue("b", "a", "b")
    assert [one.campaign_id for one in verdict.accepted] == ["b", "a"]


@pytest.mark.parametrize(
    ("fields", "given", "reason", "text"),
    [
        ({}, 5, None, ""),
        ({"limits": Limits(1, coupons_per_customer=3)}, 3, Reason.CUSTOMER_LIMIT, "3 of 5 coupons were issued."),
        ({"limits": Limits(1, coupons_total=4)}, 4, Reason.CAMPAIGN_EXHAUSTED, "4 of 5 coupons were issued."),
        ({"limits": Limits(caps=(Cap("day", coupons=2),))}, 2, Reason.CAMPAIGN_EXHAUSTED, "2 of 5"),
        ({"limits": Limits(caps=(Cap("day", "customer", coupons=1),))}, 1, Reason.CUSTOMER_LIMIT, "1 of 5"),
        (
            {"status": "paused"},
            0,
            Reason.CAMPAIGN_INACTIVE,
            "Campaign 'welcome' is paused. 0 of 5 coupons were issued.",
        ),
    ],
)
def test_of_several_coupons_those_that_fit_are_issued_and_one_refusal_covers_the_rest(
    fields: dict[str, Any], given: int, reason: Reason | None, text: str
) -> None:
    world = world_of(**fields)
    verdict = world.issue("welcome", several=(("welcome", 5),), natural_key="reward 1")
    assert (len(verdict.accepted), verdict.requested_count) == (given, 5)
    assert len({one.coupon_id for one in verdict.accepted}) == len({one.code for one in verdict.accepted}) == given
    assert [one.reason for one in verdict.refused] == ([] if reason is None else [reason])
    assert all(text in one.message and one.details["given"] == str(given) for one in verdict.refused)
    again = world.issue("welcome", several=(("welcome", 5),), natural_key="reward 1")
    assert again.outcome == ("unchanged" if given else "refused"), "an occasion that gave some is served"


def test_several_coupons_are_issued_until_the_source_is_empty() -> None:
    world = world_of(source=Source("pool"))
    for number in range(2):
        world.state.supplies["c", "welcome", number] = Supply(f"id-{number}", f"CODE{number}")
    cause = Cause("reward.earned", "/loyalty", "1")
    verdict = world.run(IssueCoupons("c", cause, JOHN, ("welcome",), several=(("welcome", 3),)))
    assert [one.code for one in verdict.accepted] == ["CODE0", "CODE1"]
    assert (verdict.refused[0].reason, verdict.refused[0].details) == (Reason.EXHAUSTED, {"asked": "3", "given": "2"})


@pytest.mark.parametrize(
    ("referred", "known_as", "reason"),
    [
        (Customer("new"), "customer-new", None),
        (Customer("john"), "customer-john", Reason.WRONG_CUSTOMER),
        (Customer(" john "), None, Reason.WRONG_CUSTOMER),
        (Customer("john2", "john.smith@email.com"), "customer-john", Reason.WRONG_CUSTOMER),
        (Customer("new"), None, None),
    ],
)
def test_customers_get_no_reward_for_referring_themselves(
    referred: Customer, known_as: str | None, reason: Reason | None
) -> None:
    world = world_of()
    world.state.customers[referred_key("command-1")] = known_as
    verdict = world.issue("welcome", referred=referred)
    assert only_reason(verdict) == reason


def test_a_changed_end_of_the_campaign_applies_to_issued_coupons() -> None:
    world = world_of(window=window(None, DAY, valid_for=30 * DAY))
    accepted = world.issue("welcome").accepted[0]
    assert accepted.ends_at == NOW + DAY, "the verdict has the earlier of the two ends"
    assert world.state.coupons[accepted.coupon_id].ends_at == NOW + 30 * DAY, "kept is the coupon's own"


def test_a_campaign_with_a_shared_code_hands_out_that_coupon() -> None:
    world = world_of(code=CodeRule(shared_code="HELLO"), limits=Limits(None, coupons_per_customer=1))
    world.coupon("HELLO", "welcome")
    for customer, outcome in ((JOHN, "issued"), (MARY, "issued"), (JOHN, "refused")):
        command_id = world.command_id()
        world.state.supplies[command_id, "welcome", 0] = Supply("id-HELLO", "HELLO")
        cause = Cause("customer.signed_up", "/signup", command_id)
        verdict = world.run(IssueCoupons(command_id, cause, customer, ("welcome",)))
        assert verdict.outcome == outcome
    coupon = world.state.coupons["id-HELLO"]
    assert (coupon.holder_key, coupon.starts_at) == (None, None)
    assert world.redeem("hello", by=Customer("c-1")).outcome == "redeemed"


def test_a_pooled_code_gets_a_holder_when_it_is_issued() -> None:
    world = world_of(source=Source("pool"), window=window(valid_for=DAY))
    world.coupon("POOL1", "welcome", status="pooled")
    assert only_reason(world.redeem("POOL1")) == Reason.NOT_FOUND
    world.state.supplies["command-2", "welcome", 0] = Supply("id-POOL1", "POOL1")
    verdict = world.issue("welcome")
    assert verdict.accepted[0].code == "POOL1"
    coupon = world.state.coupons["id-POOL1"]
    assert (coupon.status, coupon.holder_key, coupon.ends_at) == ("active", key_of(JOHN), NOW + DAY)


def test_a_pooled_code_can_be_voided_before_it_is_issued() -> None:
    world = world_of(source=Source("pool"))
    world.coupon("POOL1", "welcome", status="pooled")
    assert world.void("POOL1").outcome == "voided"
