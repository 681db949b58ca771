"""An order is named by its shop and its id: two shops may both have an order 777."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.orders import OrderCancelled, OrderPlaced
from schemas.parsing import InvalidDocumentError, parse
from services.notifier.rule import notification_of
from services.redeemer.handler import to_command
from services.redeemer.settings import RedeemerSettings
from shared.domain.explain import explain
from shared.domain.model.commands import Command, ExpireLock
from shared.domain.model.ids import (
    SHOP_SEPARATOR,
    order_details,
    order_key,
    order_names,
    order_text,
    readable,
    split_order_key,
)
from shared.domain.model.money import MoneyError
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.reasons import Reason
from shared.domain.model.state import order_hold
from shared.domain.orders.life_cycle import Phase, phase_of
from shared.ledger.events import events_of
from shared.ledger.journal import fingerprint
from shared.ledger.order_naming import named_json, selected_orders
from tests.builders import JOHN, MARY, NOW, Limits, World, campaign, only_reason, order
from tests.received_events import cancelled, paid, placed, received, returned
from tests.schema_strategies import IDENTIFIERS

NORTH, SOUTH, NONE = (order_key(shop, "777") for shop in ("north", "south", None))
SETTINGS = RedeemerSettings(kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x")


# Keys

SHOPS = (None, "a", "a/b", "a b", " a ", "é", "order:a", "😀" * 255, "x" * 255)
ORDERS = ("777", "a", "b/777", "a/b", " 777 ", "order:777", "None", "😀" * 255, "x" * 255)


@given(st.none() | IDENTIFIERS, IDENTIFIERS)
def test_a_key_splits_into_what_it_was_made_of(shop_id: str | None, order_id: str) -> None:
    key = order_key(shop_id, order_id)
    assert split_order_key(key) == (shop_id, order_id)
    assert order_names(key) == {"order_id": order_id, "shop_id": shop_id}
    assert order_details(key) == {"order_id": order_id} | ({} if shop_id is None else {"shop_id": shop_id})
    assert (key == order_id) == (shop_id is None)
    assert SHOP_SEPARATOR not in readable(order_hold(key)) + order_text(key)


def test_no_two_orders_have_the_same_key_or_hold() -> None:
    names = [(shop, one) for shop in SHOPS for one in ORDERS]
    assert len({order_key(*name) for name in names}) == len({order_hold(order_key(*name)) for name in names})
    assert len({order_key(*name) for name in names}) == len(names)


def test_an_empty_shop_counts_as_none() -> None:
    assert order_key("", "777") == order_key(None, "777") == "777"
    assert order_names(None) == {"order_id": None, "shop_id": None}


@pytest.mark.parametrize(
    ("key", "text"),
    [(NONE, "'777'"), (NORTH, "'777' of shop 'north'"), (order_key("a/b c", "1/2"), "'1/2' of shop 'a/b c'")],
)
def test_messages_name_the_shop_of_an_order(key: str, text: str) -> None:
    assert order_text(key) == text


# What comes in


@pytest.mark.parametrize("shop", [None, "", "north", "a/b c", "x" * 255, "😀" * 255])
def test_every_event_of_an_order_names_its_shop(shop: str | None) -> None:
    key = order_key(shop, "777")
    named = {"order_id": "777", "shop_id": shop}
    redeem = to_command(placed("1", **named, coupon_codes=["A"]), SETTINGS)
    assert isinstance(redeem, RedeemCoupons)
    assert redeem.order.order_id == key
    recorded = to_command(
        placed("2", **named, customer={"customer_id": "c"}, amount="1.999"), SETTINGS, record_orders=True
    )
    assert isinstance(recorded, RedeemCoupons)
    assert recorded.order.order_id == key
    commands = [to_command(make("3", **named), SETTINGS) for make in (paid, cancelled, returned)]
    assert [type(one) for one in commands] == [PayOrder, CancelOrder, ReturnOrder]
    assert {one.order_id for one in commands if isinstance(one, PayOrder | CancelOrder | ReturnOrder)} == {key}


def test_without_a_shop_an_event_makes_the_same_command_as_before() -> None:
    assert to_command(paid("1", order_id="777"), SETTINGS) == to_command(
        paid("1", order_id="777", shop_id=None), SETTINGS
    )


@pytest.mark.parametrize(
    ("shop", "problem"),
    [
        ("a\x1fb", "shop_id: must have no control characters"),
        ("\x1f", "shop_id: must have no control characters"),
        ("a\n", "shop_id: must have no control characters"),
        ("x" * 256, "shop_id: must have at most 255 characters"),
        (7, "shop_id: must be a string"),
        (["a"], "shop_id: must be a string"),
    ],
)
@pytest.mark.parametrize("model", [OrderPlaced, OrderCancelled])
def test_an_invalid_shop_is_named(model: type, shop: object, problem: str) -> None:
    data = {"order_id": "777", "shop_id": shop, "currency": "USD", "amount": "1.00"}
    with pytest.raises(InvalidDocumentError) as raised:
        parse(model, orjson.dumps(data | dict.fromkeys(("placed_at", "cancelled_at"), "2026-01-01T00:00:00Z")))
    assert problem in str(raised.value)


def test_a_blank_shop_is_none() -> None:
    data = {"order_id": "777", "shop_id": " ", "cancelled_at": "2026-01-01T00:00:00Z"}
    assert parse(OrderCancelled, orjson.dumps(data)).shop_id is None


def test_an_order_id_that_looks_like_a_key_is_refused() -> None:
    for fields in ({"order_id": "north\x1f777"}, {"order_id": "1", "lock_reference": "order:north\x1f777"}):
        with pytest.raises(InvalidDocumentError, match="control characters"):
            parse(
                OrderPlaced,
                orjson.dumps({"currency": "USD", "amount": "1", "placed_at": "2026-01-01T00:00:00Z"} | fields),
            )


def test_the_id_of_a_subscription_is_the_shops_own() -> None:
    north, south, none = (
        to_command(placed("1", shop_id=shop, subscription_id="S", cycle=2, coupon_codes=["A"]), SETTINGS)
        for shop in ("north", "south", None)
    )
    assert isinstance(north, RedeemCoupons)
    assert isinstance(south, RedeemCoupons)
    assert isinstance(none, RedeemCoupons)
    assert len({north.order.subscription_id, south.order.subscription_id, none.order.subscription_id}) == 3
    assert none.order.subscription_id == "S"
    once = to_command(placed("1", shop_id="north", coupon_codes=["A"]), SETTINGS)
    assert isinstance(once, RedeemCoupons)
    assert (once.order.subscription_id, once.order.cycle) == (None, 0)


def test_the_same_event_id_for_another_shop_is_another_request() -> None:
    def prints(make: Any, **fields: Any) -> set[bytes]:
        events = [make("1", **fields, **shop) for shop in ({}, {"shop_id": "north"}, {"shop_id": "south"})]
        return {fingerprint(command) for one in events if (command := to_command(one, SETTINGS)) is not None}

    assert [len(prints(one)) for one in (paid, cancelled, returned)] == [3, 3, 3]
    assert len(prints(placed, coupon_codes=["A"])) == 3


# Decisions


def shared(uses: int = 10, **fields: Any) -> World:
    world = World((campaign(limits=Limits(uses_per_coupon=uses), **fields),))
    world.coupon()
    return world


def published(world: World, command: Command) -> list[tuple[str, str, dict[str, Any]]]:
    """Run a command; return (type, key, data) of its events."""
    verdict = world.run(command)
    return [(one.type, one.key, orjson.loads(one.data)) for one in events_of(command, verdict, world.state)]


@pytest.mark.parametrize("hold", [False, True])
def test_each_order_is_redeemed_paid_cancelled_and_returned_for_itself(hold: bool) -> None:
    world = shared()
    wait = {"hold": True, "hold_seconds": 600} if hold else {}
    for number, key in enumerate((NORTH, SOUTH, NONE), start=1):
        outcome = world.redeem("SAVE10", to=order(key), **wait).outcome
        assert outcome == ("held" if hold else "redeemed")
        assert world.redeem("SAVE10", to=order(key), **wait).outcome == "unchanged"
        coupon = world.state.coupons["id-SAVE10"]
        assert (coupon.held, coupon.used) == ((number, 0) if hold else (0, number))
    assert world.pay(SOUTH).outcome == ("redeemed" if hold else "recorded")
    ended = [world.cancel(NORTH, NOW).outcome, world.return_order(SOUTH, NOW).outcome]
    assert ended == ["released" if hold else "restored", "restored"]
    coupon = world.state.coupons["id-SAVE10"]
    assert coupon.held + coupon.used == 1  # the order without a shop
    assert world.cancel(NORTH, NOW).outcome == "unchanged"


def test_events_name_the_order_and_its_shop_and_their_key_is_the_order_id() -> None:
    world = shared()
    redeem = RedeemCoupons("c1", order(NORTH), ("SAVE10", "NOPE"), JOHN, at=NOW)
    kinds = published(world, redeem) + published(world, CancelOrder("c2", NORTH, NOW))
    assert [one[0] for one in kinds] == [
        "coupon.redeemed", "coupon.redemption_refused", "coupon.redemption_restored",
    ]  # fmt: skip
    assert {(key, data["order_id"], data["shop_id"]) for _, key, data in kinds} == {("777", "777", "north")}
    without = published(world, RedeemCoupons("c3", order(NONE), ("SAVE10",), JOHN, at=NOW))
    assert [(data["order_id"], data.get("shop_id")) for _, _, data in without] == [("777", None)]


@pytest.mark.parametrize("end", ["pay", "cancel", "expire", "refuse"])
def test_the_hold_of_an_order_is_shown_with_its_shop(end: str) -> None:
    world = shared()
    events = published(world, RedeemCoupons("c1", order(NORTH), ("SAVE10",), JOHN, hold=True, hold_seconds=60, at=NOW))
    if end == "pay":
        events += published(world, PayOrder("c2", NORTH, NOW))
    elif end == "cancel":
        events += published(world, CancelOrder("c2", NORTH, NOW))
    else:
        world.now = world.now.replace(year=2030)
        if end == "expire":
            events += published(world, ExpireLock("c2", order_hold(NORTH)))
            assert events[-1][0] == "coupon.lock_expired"
        events += published(world, PayOrder("c3", NORTH, world.now))
    for kind, _, data in events:
        assert (data["order_id"], data["shop_id"]) == ("777", "north"), kind
        assert data.get("lock_reference") in (None, "order:north/777")
        assert "\\u001f" not in orjson.dumps(data).decode()


def test_a_reference_that_a_caller_names_never_reaches_the_hold_of_a_shops_order() -> None:
    world = shared()
    world.redeem("SAVE10", to=order(NORTH), hold=True, hold_seconds=600)
    shown = "order:north/777"
    assert world.release(shown).refused[0].reason is Reason.LOCK_NOT_FOUND
    assert only_reason(world.redeem(to=order("other"), lock_reference=shown)) is Reason.LOCK_NOT_FOUND
    assert only_reason(world.lock("SAVE10", reference=shown)) is Reason.ORDER_MISMATCH
    assert world.redeem(to=order(NORTH), lock_reference=shown).outcome == "unchanged"  # its own, as events show it
    assert world.state.coupons["id-SAVE10"].held == 1


def test_the_hold_of_another_order_with_the_same_shown_reference_is_another_lock() -> None:
    world = shared()
    for key in (NORTH, order_key(None, "north/777")):
        world.redeem("SAVE10", to=order(key), hold=True, hold_seconds=600)
    assert world.state.coupons["id-SAVE10"].held == 2
    assert world.cancel(order_key(None, "north/777"), NOW).outcome == "released"
    assert phase_of(world.state.orders[NORTH], world.state.locks[order_hold(NORTH)], NOW) is Phase.HELD


def test_a_lock_for_an_order_of_one_shop_is_not_for_the_other() -> None:
    world = shared(uses=1)
    world.lock("SAVE10", order_id=NORTH, by=JOHN)
    refused = world.redeem(to=order(SOUTH), lock_reference="lock-1").refused[0]
    assert refused.reason is Reason.ORDER_MISMATCH
    assert refused.message == "Lock 'lock-1' is for order '777' of shop 'north', not for '777' of shop 'south'."
    assert refused.details == {"order_id": "777", "shop_id": "north"}
    assert only_reason(world.redeem("SAVE10", to=order(NONE), by=MARY)) is Reason.LOCKED_ELSEWHERE
    assert world.redeem(to=order(NORTH), lock_reference="lock-1").outcome == "redeemed"
    assert world.release().refused[0].reason is Reason.ALREADY_REDEEMED


def test_a_first_order_in_another_shop_is_not_the_first() -> None:
    world = shared(first_order_only=True)
    world.state.orders_of["customer-john"] = set()
    assert world.redeem("SAVE10", to=order(NORTH)).outcome == "redeemed"
    refused = world.redeem("SAVE10", to=order(SOUTH)).refused[0]
    assert refused.reason is Reason.NOT_FIRST_ORDER
    assert refused.message.endswith("this customer has ordered before, '777' of shop 'north'.")
    assert refused.details == {"order_id": "777", "shop_id": "north"}


def messages_of(world: World) -> list[str]:
    """Return every text that refusals of orders of a shop show: messages, details, explanations."""
    world.cancel(SOUTH, NOW)
    closed = world.redeem("SAVE10", to=order(SOUTH, placed_at=NOW.replace(year=2020)))
    world.redeem("SAVE10", to=order(NORTH))
    locked = world.lock("SAVE10", order_id=NORTH, reference="l2")
    explained = explain(RedeemCoupons("e", order(NORTH), ("SAVE10",), JOHN, at=NOW), world.state, NOW)
    texts = [f"{one.message} {one.details}" for verdict in (closed, locked) for one in verdict.refused]
    return texts + [f"{one.message} {one.saw}" for one in explained.findings]


def test_messages_about_orders_name_the_shop_and_no_key() -> None:
    texts = messages_of(shared())
    assert not [text for text in texts if SHOP_SEPARATOR in text or "\\x1f" in text]
    named = [text for text in texts if "of shop" in text]
    assert [text.split(" {")[0].split(" (")[0] for text in named] == [
        f"Order '777' of shop 'south' was cancelled at {NOW.isoformat()}.",
        "Coupon 'SAVE10' has been redeemed for order '777' of shop 'north' already.",
        "Order '777' of shop 'north' has redeemed it already, so its rules aren't checked again.",
    ]


def test_an_order_that_is_too_large_is_named_with_its_shop() -> None:
    amounts = {"amount": "9" * 16 + ".99", "shipping_amount": "9" * 16 + ".99"}
    with pytest.raises(MoneyError, match="The order 'O1' of shop 'north' is too large"):
        to_command(placed("1", shop_id="north", coupon_codes=["A"], **amounts), SETTINGS)


@pytest.mark.parametrize(("key", "taken"), [(NORTH, True), (SOUTH, False), (NONE, False)])
def test_a_key_bound_to_groups_cant_change_the_order_of_another_group_in_the_same_shop(key: str, taken: bool) -> None:
    many = Limits(uses_per_coupon=10)
    world = World(tuple(replace(campaign(name, limits=many), group=name) for name in ("a", "b")))
    world.coupon("A", "a")
    world.coupon("B", "b")
    world.redeem("A", to=order(NORTH))
    groups = frozenset({"b"})
    verdict = world.redeem("B", to=order(key), by=MARY, groups=groups)
    assert only_reason(verdict) == (Reason.ORDER_MISMATCH if taken else None)
    if taken:
        assert verdict.refused[0].message == ("Order id '777' of shop 'north' is taken; use another id for your order.")
    world.run(CancelOrder(world.command_id(), key, NOW, groups=groups))
    assert world.state.coupons["id-A"].used == 1


# What goes out


def test_the_notification_has_the_shop_of_the_redemption() -> None:
    world = shared()
    [(kind, _, data)] = published(world, RedeemCoupons("c", order(NORTH), ("SAVE10",), JOHN, at=NOW))
    notified = notification_of(received(kind, data).data)
    assert notified is not None
    assert (notified.order_id, notified.shop_id) == ("777", "north")


@pytest.mark.parametrize(
    ("names", "selected"),
    [
        ((None, None), (None, None)),
        (("", None), (None, None)),
        ((None, "777"), ("777", None)),
        (("north", "777"), ("north\x1f777", None)),
        (("north", None), (None, "north\x1f")),
    ],
)
def test_a_filter_selects_an_order_or_a_shop(names: tuple[str | None, str | None], selected: tuple[str, str]) -> None:
    assert selected_orders(*names) == selected


def test_a_row_as_json_names_orders_and_leaves_what_callers_wrote() -> None:
    row = {
        "order_id": NORTH,
        "lock_reference": order_hold(NORTH),
        "command_id": f"expire {order_hold(NORTH)} now",
        "subscription_id": order_key("north", "S"),
        "verdict": {"order_id": NORTH, "metadata": {"order_id": "a\x1fb"}, "refused": [{"message": "é"}]},
        "customer": {"customer_id": "a\x1fb"},
        "uses": [{"lock_reference": order_hold(NORTH)}],
        "amount_minor": 2**63 - 1,
    }
    assert orjson.loads(named_json(orjson.dumps(row).decode())) == {
        "order_id": "777",
        "shop_id": "north",
        "lock_reference": "order:north/777",
        "command_id": "expire order:north/777 now",
        "subscription_id": "S",
        "verdict": {
            "order_id": "777", "shop_id": "north", "metadata": {"order_id": "a\x1fb"}, "refused": [{"message": "é"}],
        },
        "customer": {"customer_id": "a\x1fb"},
        "uses": [{"lock_reference": "order:north/777"}],
        "amount_minor": 2**63 - 1,
    }  # fmt: skip
    plain = '{"order_id": "777",  "n": 1}'
    assert named_json(plain) is plain
