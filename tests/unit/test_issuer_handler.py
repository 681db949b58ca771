"""What rewards and sign-ups ask of the ledger, and in which portions."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.issuer.handler import chunks, to_command
from services.issuer.matching import MatchIndex
from services.issuer.sources.external import idempotency_key
from shared.domain.campaign import Campaign, DiscountOffer, IssueRule
from shared.domain.commands import Cause, IssueCoupons
from shared.domain.customer import Customer
from tests.received_events import placed, reward, signup

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NONE = MatchIndex({})


def index(*events: str) -> MatchIndex:
    offer = DiscountOffer("percentage", "10")
    return MatchIndex({event: Campaign(event, offer, issues_on=(IssueRule(event),)) for event in events})


def test_a_reward_asks_for_the_coupons_of_its_campaigns_once_an_occasion() -> None:
    person = {"customer_id": "c1", "email": "A@b.c", "mobile": "+49 30 1", "segments": ["new", "vip"]}

    assert to_command(reward("e1", reward_id="rw-7", customer=person), index("reward.earned")) == IssueCoupons(
        command_id="/loyalty e1",
        cause=Cause("reward.earned", "/loyalty", "e1"),
        customer=Customer("c1", "A@b.c", "+49 30 1", ("new", "vip")),
        campaign_ids=("reward.earned",),
        at=AT,
        natural_key="reward rw-7",
    )


def test_a_sign_up_has_no_occasion_but_its_event() -> None:
    assert to_command(signup("e1"), index("customer.signed_up")) == IssueCoupons(
        command_id="/signup e1",
        cause=Cause("customer.signed_up", "/signup", "e1"),
        customer=Customer("c1"),
        campaign_ids=("customer.signed_up",),
        at=AT,
    )


@pytest.mark.parametrize(("fields", "named"), [({}, ()), ({"rule_id": "42"}, ()), ({"campaign_id": "a"}, ("a",))])
def test_a_reward_that_matches_nothing_still_gets_an_answer(fields: dict[str, Any], named: tuple[str, ...]) -> None:
    command = to_command(reward(**fields), NONE)

    assert command is not None
    assert command.campaign_ids == named


def test_a_sign_up_that_matches_nothing_asks_for_nothing() -> None:
    assert to_command(signup(), NONE) is None


def test_a_reward_that_names_a_campaign_leaves_the_others_out() -> None:
    offer = DiscountOffer("percentage", "10")
    both = MatchIndex({name: Campaign(name, offer, issues_on=(IssueRule("reward.earned"),)) for name in ("a", "b")})

    command = to_command(reward(campaign_id="b"), both)

    assert command is not None
    assert command.campaign_ids == ("b",)


def test_an_event_of_another_topic_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=r"order\.placed"):
        to_command(placed(), NONE)


def issue(number: int, coupons: int) -> IssueCoupons:
    campaign_ids = tuple(f"c{n}" for n in range(coupons))
    return IssueCoupons(f"/t {number}", Cause("reward.earned", "/t", str(number)), Customer("c"), campaign_ids)


@pytest.mark.parametrize(
    ("coupons", "parts"),
    [
        ([], []),
        ([0], [[0]]),
        ([1, 1, 1], [[1, 1, 1]]),
        ([5, 5], [[5, 5]]),
        ([5, 5, 1], [[5, 5], [1]]),
        ([5, 6], [[5], [6]]),
        ([11], [[11]]),
        ([1, 11, 1], [[1], [11], [1]]),
        ([0, 11, 0], [[0], [11], [0]]),
        ([10, 0, 0, 1], [[10, 0, 0], [1]]),
    ],
)
def test_a_batch_is_portioned_by_the_coupons_it_makes(coupons: list[int], parts: list[list[int]]) -> None:
    commands = [issue(number, wanted) for number, wanted in enumerate(coupons)]

    portions = list(chunks(commands, 10))

    assert [[len(command.campaign_ids) for command in portion] for portion in portions] == parts
    assert [command for portion in portions for command in portion] == commands


def test_a_source_is_asked_under_one_key_for_one_occasion_and_campaign() -> None:
    first, again, other = (to_command(reward(event, reward_id=key), NONE) for event, key in ("1a", "2a", "3b"))
    assert first
    assert again
    assert other

    assert idempotency_key(first, "x") == idempotency_key(again, "x")
    assert len({idempotency_key(first, "x"), idempotency_key(first, "y"), idempotency_key(other, "x")}) == 3
    assert idempotency_key(issue(1, 1), "x") != idempotency_key(issue(2, 1), "x")
