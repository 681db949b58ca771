"""Creation of coupons without a holder, in bulk: all or nothing, except for codes that exist already."""

from typing import Any

import pytest

from shared.domain.model.campaign import Cap
from shared.domain.model.commands import CreateCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Customer
from shared.domain.model.reasons import Reason
from shared.domain.model.state import Supply
from shared.domain.model.verdicts import Verdict
from tests.builders import DAY, NOW, CodeRule, Limits, Source, World, campaign, only_reason, window

SHARED = CodeRule(shared_code="HELLO")


def world_of(**fields: Any) -> World:
    return World((campaign("print", **fields),))


def create(world: World, count: int = 0, codes: tuple[str, ...] = (), **fields: Any) -> Verdict:
    """Create coupons with codes as the ledger supplies them: `codes`, or NEW-<command>-<number>."""
    command_id = world.command_id()
    for number, code in enumerate(codes or [f"NEW-{command_id}-{number}" for number in range(count)]):
        world.state.supplies[command_id, "print", number] = Supply(f"id-{command_id}-{number}", code.strip())
    return world.run(CreateCoupons(command_id, "print", count, codes, **fields))


@pytest.mark.parametrize("status", ["active", "paused"])
def test_created_coupons_have_no_holder_and_start_with_their_campaign(status: str) -> None:
    world = world_of(status=status, window=window(DAY, 3 * DAY, valid_for=30 * DAY))
    verdict = create(world, 3)
    assert (verdict.outcome, verdict.requested_count, verdict.customer_key) == ("issued", 3, None)
    assert [(one.starts_at, one.ends_at, one.uses) for one in verdict.accepted] == [(NOW, NOW + 3 * DAY, 1)] * 3
    assert [(one.kind, one.customer_key, one.counted_at) for one in verdict.entries] == [("issued", None, NOW)] * 3
    coupon = world.state.coupons[verdict.accepted[0].coupon_id]
    assert (coupon.status, coupon.holder_key, coupon.ends_at) == ("active", None, NOW + 30 * DAY)


@pytest.mark.parametrize("by", [Customer("c-1"), None])
def test_any_customer_with_the_code_may_use_it_once(by: Customer | None) -> None:
    world = world_of()
    (coupon,) = create(world, codes=(" Old-1 ",)).accepted
    assert coupon.code == "Old-1"
    assert world.redeem("OLD-1", by=by).outcome == "redeemed"


def test_existing_codes_are_skipped_and_the_others_are_created() -> None:
    world = World((campaign("print", limits=Limits(1, coupons_total=3)), campaign("other")))
    world.coupon("mine", "print")
    world.coupon("POOLED", "other", status="pooled")
    world.state.taken[code_key("read")] = "other"
    verdict = create(world, codes=("new", "Mine", "pooled", "READ", "NEW ", "new2", "Straße", "STRASSE"))
    assert [one.code for one in verdict.accepted] == ["new", "new2", "Straße"]
    assert [(one.code, one.reason, one.details.get("campaign_id")) for one in verdict.refused] == [
        ("Mine", Reason.CODE_TAKEN, "print"),
        ("pooled", Reason.CODE_TAKEN, "other"),
        ("READ", Reason.CODE_TAKEN, "other"),
        ("NEW ", Reason.CODE_TAKEN, None),
        ("STRASSE", Reason.CODE_TAKEN, None),
    ]
    assert world.meter("print").issued == 3
    again = create(world, codes=("new", "new2"))
    assert (again.outcome, only_reason(again), again.entries) == ("refused", Reason.CODE_TAKEN, ())


@pytest.mark.parametrize(
    ("limits", "numbers"),
    [
        (Limits(1, coupons_total=10), {"limit": "10", "issued": "6", "asked": "5"}),
        (
            Limits(1, caps=(Cap("day", coupons=10),)),
            {
                "limit": "10",
                "issued": "6",
                "asked": "5",
                "per": "day",
                "period": "day 2026-11-22",
                "again_at": "2026-11-23T00:00:00+00:00",
            },
        ),
    ],
)
def test_a_request_that_exceeds_a_limit_creates_no_coupon(limits: Limits, numbers: dict[str, str]) -> None:
    world = world_of(limits=limits)
    assert create(world, 6).outcome == "issued"
    refused = create(world, 5)
    assert (refused.outcome, only_reason(refused), refused.entries) == ("refused", Reason.CAMPAIGN_EXHAUSTED, ())
    assert refused.refused[0].details == numbers
    assert create(world, 4).outcome == "issued"
    assert only_reason(create(world, 1)) == Reason.CAMPAIGN_EXHAUSTED


def test_limits_per_customer_do_not_apply_to_coupons_without_a_customer() -> None:
    world = world_of(limits=Limits(1, coupons_per_customer=1, caps=(Cap("day", "customer", coupons=1),)))
    assert len(create(world, 5).accepted) == 5


@pytest.mark.parametrize(
    ("fields", "reason", "text"),
    [
        ({"status": "archived"}, Reason.CAMPAIGN_INACTIVE, "Campaign 'print' is archived."),
        ({"code": SHARED}, Reason.EXHAUSTED, "has one shared code, 'HELLO'"),
        (
            {"source": Source("external", "https://codes.example")},
            Reason.EXHAUSTED,
            "gets each code from an external API",
        ),
        ({"source": Source("pool")}, Reason.EXHAUSTED, "import codes into the pool"),
    ],
)
def test_a_campaign_with_another_source_of_codes_creates_none(
    fields: dict[str, Any], reason: Reason, text: str
) -> None:
    verdict = create(world_of(**fields), 2)
    assert (verdict.outcome, only_reason(verdict), verdict.requested_count) == ("refused", reason, 2)
    assert text in verdict.refused[0].message


def test_an_unknown_campaign_is_not_found() -> None:
    assert only_reason(create(World(), 2)) == Reason.NOT_FOUND
