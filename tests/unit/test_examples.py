"""The examples of `schemas/examples`, the contract: services read the inputs, and write the fields of the outputs."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

import schemas
from schemas.campaigns import CampaignDefinition
from schemas.parsing import parse
from schemas.redemptions import CouponRedeemed
from services.issuer.handler import to_commands
from services.notifier.rule import notification_of
from services.redeemer.handler import to_command
from shared.domain.model.commands import Cause, Command, IssueCoupons, RevokeReward
from shared.domain.model.customer import Customer
from shared.domain.model.ids import order_key
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.ledger.definitions import to_domain
from shared.ledger.matching import MatchIndex
from tests.received_events import received
from tests.unit.test_events import CASES, Case, Ledger, ledger
from tests.unit.test_redeemer_handler import ON_PLACED

EXAMPLES = {
    path.stem: json.loads(path.read_text("utf-8"))
    for path in (Path(schemas.__file__).parent / "examples").glob("*.json")
}
OUTPUTS = {name for name, one in EXAMPLES.items() if name != "campaign" and one["source"].startswith("/couponry/")}
BUILT_BY_OTHERS = {"customer_erased", "ledger_event_withheld", "coupon_expiring", "coupon_expired"}
"""Events that no verdict causes: erasures, the relay and the sweep of reminders write them."""

SOMETIMES: dict[str, tuple[str, ...]] = {
    "coupon_lock_expired": (".customer", ".expires_at"),  # optional, not written
    "coupon_released": (".customer", ".shop_id"),  # the customer is optional, and not written
    "coupon_redemption_refused": (".coupons.details.",),  # each reason has its own
}
"""Fields of examples that no case writes."""

JOHN = Customer("customer_123", "john.smith@email.com", "+919999988886")
KEY = order_key(None, "ORD456")
AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PLACED = RedeemCoupons(
    "/shop 1",
    Order(
        KEY, "USD", 12_500,
        (
            Line("1", "510509", 2, 5_000, collection_ids=("summer",)),
            Line("2", "511520", 1, 2_500),
        ),
        shipping_minor=500, placed_at=AT,
    ),
    ("SAVE10",), JOHN, at=AT, complete=True,
)  # fmt: skip
CHANGED_AT = datetime(2026, 11, 22, 9, 40, tzinfo=UTC)
RETURNED_AT = datetime(2026, 11, 25, 10, tzinfo=UTC)
COMMANDS: dict[str, Command] = {
    "order_placed": PLACED,
    "order_placed_with_lock": RedeemCoupons(
        "/shop 1", Order(order_key(None, "ORD457"), "USD", 12_500, placed_at=AT.replace(minute=31)), (), JOHN,
        "lock_0199f6a35c1e7b43", at=AT.replace(minute=31), complete=True,
    ),
    "order_changed": replace(
        PLACED,
        order=replace(
            PLACED.order, amount_minor=7_500,placed_at=None,
            lines=(replace(PLACED.order.lines[0], quantity=1), PLACED.order.lines[1]),
        ),
        at=CHANGED_AT, changed=True,
    ),
    "order_paid": PayOrder("/shop 1", KEY, AT.replace(minute=32)),
    "order_payment_failed": FailPayment("/payments 1", KEY, AT.replace(minute=41)),
    "order_cancelled": CancelOrder("/shop 1", KEY, AT.replace(hour=10, minute=0)),
    "order_returned": ReturnOrder("/shop 1", KEY, False, RETURNED_AT, lines=(("2", 1),)),
    "order_returned_refund": ReturnOrder(
        "/shop 1", KEY, False, RETURNED_AT, return_id="RET-1", refunded_amount="22.50"
    ),
    "reward_revoked": RevokeReward(
        "/loyalty 1", "rw-000042", datetime(2026, 11, 26, 8, tzinfo=UTC), "order ORD440 was returned"
    ),
}  # fmt: skip
"""Input events and the commands that they become."""


@pytest.mark.parametrize("name", COMMANDS)
def test_an_input_becomes_a_command_with_its_values(name: str) -> None:
    example = EXAMPLES[name]
    event = received(example["type"], example["data"], source=example["source"])
    if name.startswith("reward"):
        assert to_commands(event, MatchIndex({})) == [COMMANDS[name]]
    else:
        assert to_command(event, ON_PLACED) == COMMANDS[name]


@pytest.mark.parametrize("name", ["customer_signed_up", "reward_earned"])
def test_the_example_of_a_campaign_is_matched_by_the_examples_of_events(name: str) -> None:
    campaign = to_domain(parse(CampaignDefinition, json.dumps(EXAMPLES["campaign"]).encode()), 1)
    example = EXAMPLES[name]
    event = received(example["type"], example["data"], source=example["source"])
    [command] = [one for one in to_commands(event, MatchIndex({"save10": campaign})) if isinstance(one, IssueCoupons)]
    assert command.campaign_ids == ("save10",)
    assert replace(command.customer, segments=None) == JOHN
    assert command.cause == Cause(example["type"], example["source"], "1")


def paths(value: Any, place: str = "") -> Iterator[str]:
    """Yield the path of every field in `value`. A list is as its elements."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{place}.{name}"
            yield from paths(inner, f"{place}.{name}")
    elif isinstance(value, list):
        for inner in value:
            yield from paths(inner, place)


def of_a_holder(case: Case) -> Ledger:
    """Return the ledger after a case, in which the coupon has a holder whose identifiers are known."""
    made = ledger()
    made.state.coupons["id-SAVE10"].holder_key = "customer-john"
    made.state.holders["customer-john"] = JOHN
    case.act(made)
    return made


def written() -> dict[str, set[str]]:
    """Return the paths of the fields of every event that the cases write, by type."""
    found: dict[str, set[str]] = {}
    for case in CASES:
        for event in of_a_holder(case).events:
            data = orjson.loads(event.data)
            found.setdefault(event.type, set()).update(paths(data))
            notified = (
                notification_of(parse(CouponRedeemed, event.data.encode())) if event.type == "coupon.redeemed" else None
            )
            if notified is not None:
                found.setdefault("coupon.redemption_notified", set()).update(
                    paths(json.loads(notified.model_dump_json()))
                )
    return found


@pytest.mark.parametrize("name", sorted(OUTPUTS - BUILT_BY_OTHERS))
def test_an_output_has_the_fields_of_its_example(name: str) -> None:
    example = EXAMPLES[name]
    missing = set(paths(example["data"])) - written()[example["type"]]
    assert not {path for path in missing if not path.startswith(SOMETIMES.get(name, ()))}


def test_the_examples_of_both_kinds_are_all() -> None:
    read = {*COMMANDS, "customer_signed_up", "reward_earned", "campaign"}
    assert EXAMPLES.keys() - OUTPUTS == read
