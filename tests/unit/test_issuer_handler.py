"""The commands for rewards and sign-ups, and their split into parts."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.issuer.handler import chunks, to_commands
from services.issuer.sources.external import idempotency_key
from shared.domain.model.campaign import Campaign, DiscountOffer, IssueRule
from shared.domain.model.commands import Cause, IssueCoupons, RecordCustomer
from shared.domain.model.customer import Customer
from shared.ledger.matching import MatchIndex
from shared.messaging.cloudevents import InvalidDocumentError, from_headers
from shared.messaging.records import ReceivedEvent
from tests.received_events import placed, reward, signup

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NONE = MatchIndex({})


def index(*events: str) -> MatchIndex:
    offer = DiscountOffer("percentage", "10")
    return MatchIndex({event: Campaign(event, offer, issues_on=(IssueRule(event),)) for event in events})


def only(event: ReceivedEvent, rules: MatchIndex) -> IssueCoupons:
    (command,) = to_commands(event, rules)
    assert isinstance(command, IssueCoupons)
    return command


def referring(**rules: IssueRule) -> MatchIndex:
    offer = DiscountOffer("percentage", "10")
    return MatchIndex({name: Campaign(name, offer, issues_on=(rule,)) for name, rule in rules.items()})


def test_a_reward_issues_the_coupons_of_its_campaigns_once_per_occasion() -> None:
    person = {"customer_id": "c1", "email": "A@b.c", "mobile": "+49 30 1", "segments": ["new", "vip"]}

    assert only(reward("e1", reward_id="rw-7", customer=person), index("reward.earned")) == IssueCoupons(
        command_id="/loyalty e1",
        cause=Cause("reward.earned", "/loyalty", "e1"),
        customer=Customer("c1", "A@b.c", "+49 30 1", ("new", "vip")),
        campaign_ids=("reward.earned",),
        at=AT,
        natural_key="reward rw-7",
    )


def test_a_sign_up_has_only_its_event_as_occasion() -> None:
    assert only(signup("e1"), index("customer.signed_up")) == IssueCoupons(
        command_id="/signup e1",
        cause=Cause("customer.signed_up", "/signup", "e1"),
        customer=Customer("c1"),
        campaign_ids=("customer.signed_up",),
        at=AT,
    )


@pytest.mark.parametrize(("fields", "named"), [({}, ()), ({"rule_id": "42"}, ()), ({"campaign_id": "a"}, ("a",))])
def test_a_reward_without_a_match_still_becomes_a_command(fields: dict[str, Any], named: tuple[str, ...]) -> None:
    command = only(reward(**fields), NONE)

    assert command.campaign_ids == named


def test_a_sign_up_without_a_match_becomes_no_command() -> None:
    assert to_commands(signup(), NONE) == []


def test_a_sign_up_issues_coupons_to_the_customer_and_the_referrer() -> None:
    rules = referring(
        friend=IssueRule("customer.signed_up", to="referrer", coupons=2),
        welcome=IssueRule("customer.signed_up", to="both"),
    )
    cause = Cause("customer.signed_up", "/signup", "e1")

    assert to_commands(signup("e1", referred_by="c9"), rules) == [
        IssueCoupons("/signup e1", cause, Customer("c1"), ("welcome",), AT),
        IssueCoupons(
            command_id="/signup e1\treferrer",
            cause=cause,
            customer=Customer("c9"),
            campaign_ids=("friend", "welcome"),
            at=AT,
            natural_key="referral c1",
            several=(("friend", 2),),
            referred=Customer("c1"),
        ),
    ]


def test_a_sign_up_without_a_referrer_issues_to_the_customer_alone() -> None:
    rules = referring(welcome=IssueRule("customer.signed_up", to="both"))

    assert [command.command_id for command in to_commands(signup("e1"), rules)] == ["/signup e1"]


@pytest.mark.parametrize("event_id", ["e1\treferrer", "e1\tsegments"])
def test_no_event_can_have_the_id_of_the_further_command_of_another(event_id: str) -> None:
    headers = {"ce_specversion": b"1.0", "ce_id": event_id.encode(), "ce_source": b"/signup", "ce_type": b"t"}

    with pytest.raises(InvalidDocumentError, match="ce_id: must have no control characters"):
        from_headers(headers, "json")


@pytest.mark.parametrize(
    ("rules", "said", "noted"),
    [
        ({}, ["vip"], True),
        ({}, [], True),
        ({}, None, False),
        ({"friend": IssueRule("customer.signed_up", to="referrer")}, ["vip"], True),
        ({"welcome": IssueRule("customer.signed_up")}, ["vip"], False),  # the case of the issue
    ],
)
def test_segments_are_recorded_if_the_customer_gets_no_coupon(
    rules: dict[str, IssueRule], said: list[str] | None, noted: bool
) -> None:
    person = {"customer_id": "c1", "segments": said}

    commands = to_commands(signup("e1", customer=person, referred_by="c9"), referring(**rules))

    notes = [command for command in commands if isinstance(command, RecordCustomer)]
    wanted = RecordCustomer("/signup e1\tsegments", Customer("c1", segments=tuple(said or ())), AT, "issuer")
    assert notes == ([wanted] if noted else [])


@pytest.mark.parametrize(
    ("person", "noted"),
    [
        ({"customer_id": "c1"}, False),
        ({"customer_id": "c1", "email": "A@b.c"}, True),
        ({"customer_id": "c1", "mobile": "+49 30 1"}, True),
        ({"customer_id": "c1", "email": "A@b.c", "mobile": "+49 30 1", "segments": ["vip"]}, True),
    ],
)
def test_the_identifiers_of_a_sign_up_are_recorded_if_the_customer_gets_no_coupon(
    person: dict[str, Any], noted: bool
) -> None:
    commands = to_commands(signup("e1", customer=person), NONE)

    customer = Customer(**{**person, "segments": tuple(person["segments"]) if "segments" in person else None})
    assert commands == ([RecordCustomer("/signup e1\tsegments", customer, AT, "issuer")] if noted else [])


def test_a_reward_that_names_a_campaign_leaves_the_others_out() -> None:
    offer = DiscountOffer("percentage", "10")
    both = MatchIndex({name: Campaign(name, offer, issues_on=(IssueRule("reward.earned"),)) for name in ("a", "b")})

    command = only(reward(campaign_id="b"), both)

    assert command.campaign_ids == ("b",)


def test_an_event_of_another_topic_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=r"order\.placed"):
        to_commands(placed(), NONE)


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
def test_a_batch_is_split_by_the_number_of_coupons(coupons: list[int], parts: list[list[int]]) -> None:
    commands = [issue(number, wanted) for number, wanted in enumerate(coupons)]

    portions = list(chunks(commands, 10))

    assert [[len(command.campaign_ids) for command in portion] for portion in portions] == parts
    assert [command for portion in portions for command in portion] == commands


def test_a_part_counts_several_coupons_of_one_campaign_and_no_records() -> None:
    cause = Cause("reward.earned", "/t", "1")
    five, six = (IssueCoupons(f"/t {n}", cause, Customer("c"), ("a",), several=(("a", n),)) for n in (5, 6))
    note = RecordCustomer("/t note", Customer("c"))

    assert (five.coupons, five.coupons_of("a"), five.coupons_of("b")) == (5, 5, 1)
    assert list(chunks([five, note, five, six, note], 10)) == [[five, note, five], [six, note]]


def test_one_occasion_and_campaign_has_one_idempotency_key() -> None:
    first, again, other = (only(reward(event, reward_id=key), NONE) for event, key in ("1a", "2a", "3b"))

    assert idempotency_key(first, "x") == idempotency_key(again, "x")
    assert len({idempotency_key(first, "x"), idempotency_key(first, "y"), idempotency_key(other, "x")}) == 3
    assert idempotency_key(issue(1, 1), "x") != idempotency_key(issue(2, 1), "x")
