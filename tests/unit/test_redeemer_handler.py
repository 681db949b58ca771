"""The commands for order events."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.redeemer.handler import to_command
from services.redeemer.settings import RedeemerSettings
from shared.domain.model.customer import Customer
from shared.domain.model.money import MoneyError
from shared.domain.model.order import Line, Order
from shared.domain.model.order_commands import CancelOrder, PayOrder, RedeemCoupons, ReturnOrder
from shared.messaging.records import ReceivedEvent
from tests.received_events import cancelled, paid, placed, returned, signup


def settings(**fields: Any) -> RedeemerSettings:
    return RedeemerSettings(kafka_bootstrap_servers="localhost:1", database_url="postgresql://localhost/x", **fields)


ON_PLACED = settings()
ON_PAID = settings(burn_on="paid", hold_seconds=60)

C1 = {"customer_id": "c1"}
FULL: dict[str, Any] = {
    "order_id": "ORD456",
    "customer": {"customer_id": "c1", "email": "John@Email.com", "mobile": "+919999988886", "segments": ["new"]},
    "placed_at": "2026-11-22T09:30:00+01:00",
    "currency": "USD",
    "amount": "125.00",
    "shipping_amount": "5.00",
    "lines": [
        {
            "line_id": "1",
            "product_id": "510509",
            "variant_id": None,
            "collection_ids": ["summer", "sale"],
            "quantity": 2,
            "unit_price": "50.00",
        },
        {"line_id": "2", "product_id": "511520", "variant_id": "v2", "quantity": 1, "unit_price": "25"},
    ],
    "coupon_codes": ["SAVE10", " save20 "],
    "lock_reference": None,
    "atomic": True,
}


def test_a_placed_order_redeems_its_codes_in_minor_units() -> None:
    at = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)

    assert to_command(placed("e-1", **FULL), ON_PLACED) == RedeemCoupons(
        command_id="/shop e-1",
        order=Order(
            order_id="ORD456",
            currency="USD",
            amount_minor=12500,
            lines=(
                Line("1", "510509", 2, 5000, None, ("summer", "sale")),
                Line("2", "511520", 1, 2500, "v2", ()),
            ),
            shipping_minor=500,
            placed_at=at,
        ),
        codes=("SAVE10", " save20 "),
        customer=Customer("c1", "John@Email.com", "+919999988886", ("new",)),
        lock_reference=None,
        atomic=True,
        hold=False,
        hold_seconds=0,
        at=at,
        channel="orders",
        complete=True,
    )


def test_with_burn_on_paid_a_placed_order_holds() -> None:
    command = to_command(placed(coupon_codes=["A"]), ON_PAID)

    assert isinstance(command, RedeemCoupons)
    assert (command.hold, command.hold_seconds) == (True, 60)


def test_absent_fields_of_an_order_are_empty() -> None:
    command = to_command(placed(coupon_codes=["A"]), ON_PLACED)

    assert isinstance(command, RedeemCoupons)
    assert command.customer is None
    assert command.order.lines == ()
    assert command.order.shipping_minor == 0
    assert command.atomic is False


def test_a_lock_without_codes_burns_the_lock() -> None:
    command = to_command(placed(coupon_codes=[], lock_reference="lock_1"), ON_PLACED)

    assert isinstance(command, RedeemCoupons)
    assert (command.codes, command.lock_reference) == ((), "lock_1")


@pytest.mark.parametrize("fields", [{}, {"coupon_codes": None}, {"coupon_codes": [], "lock_reference": None}])
def test_an_order_without_coupons_becomes_no_command(fields: dict[str, Any]) -> None:
    # Its currency can't have this amount, which is not checked here.
    assert to_command(placed(amount="1.234", customer=C1, **fields), ON_PAID) is None


def test_an_order_without_coupons_is_recorded_if_needed() -> None:
    at = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
    event = placed("e-1", **FULL | {"coupon_codes": [], "lines": None})

    assert to_command(event, ON_PAID, record_orders=True) == RedeemCoupons(
        command_id="/shop e-1",
        order=Order("ORD456", "USD", 12500, shipping_minor=500, placed_at=at),
        customer=Customer("c1", "John@Email.com", "+919999988886", ("new",)),
        at=at,
        complete=True,
    )


@pytest.mark.parametrize("customer", [None, {"email": None}, {"mobile": "none"}])
def test_an_order_of_a_guest_is_never_recorded(customer: dict[str, str] | None) -> None:
    assert to_command(placed(customer=customer), ON_PLACED, record_orders=True) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"amount": "1.234"},
        {"currency": "XXX"},
        {"shipping_amount": "0.001"},
        {"lines": [{"line_id": "1", "product_id": "p", "quantity": "0.1234", "unit_price": "0.12"}]},
    ],
)
def test_an_order_with_an_invalid_amount_is_recorded_with_0(fields: dict[str, Any]) -> None:
    command = to_command(placed(customer=C1, **fields), ON_PLACED, record_orders=True)

    assert isinstance(command, RedeemCoupons)
    assert (command.order.order_id, command.order.amount_minor, command.order.lines) == ("O1", 0, ())
    assert command.customer == Customer("c1")


@pytest.mark.parametrize("fields", [{"coupon_codes": ["A"]}, {"lock_reference": "lock_1"}])
def test_an_order_with_coupons_is_redeemed_and_not_just_recorded(fields: dict[str, Any]) -> None:
    event = placed(customer=C1, **fields)

    assert to_command(event, ON_PAID, record_orders=True) == to_command(event, ON_PAID)


@pytest.mark.parametrize(
    ("event", "command"),
    [
        (paid("e2"), PayOrder("/shop e2", "O1", at=datetime(2026, 1, 2, 3, 5, tzinfo=UTC))),
        (cancelled("e3"), CancelOrder("/shop e3", "O1", at=datetime(2026, 1, 2, 3, 6, tzinfo=UTC))),
        (returned("e4"), ReturnOrder("/shop e4", "O1", True, datetime(2026, 1, 2, 3, 7, tzinfo=UTC))),
    ],
)
@pytest.mark.parametrize("mode", [ON_PLACED, ON_PAID])
def test_later_events_of_an_order_become_commands_in_every_mode(
    event: ReceivedEvent, command: PayOrder | CancelOrder | ReturnOrder, mode: RedeemerSettings
) -> None:
    assert to_command(event, mode) == command


@pytest.mark.parametrize(
    ("fields", "whole"),
    [
        ({}, True),
        ({"lines": None, "amount": None}, True),
        ({"lines": []}, True),
        ({"lines": [{"line_id": "1", "quantity": 1}]}, False),
        ({"amount": "5.00"}, False),
        ({"amount": "0.00"}, False),
        ({"refunded_amount": "0.00"}, False),
        ({"return_id": "R1"}, True),
    ],
)
def test_a_return_is_whole_when_it_names_neither_lines_nor_amounts(fields: dict[str, Any], whole: bool) -> None:
    command = to_command(returned(**fields), ON_PLACED)

    assert isinstance(command, ReturnOrder)
    assert command.whole is whole


@pytest.mark.parametrize(
    ("currency", "amount", "minor"),
    [("JPY", "1200", 1200), ("KWD", "1.234", 1234), ("USD", "1", 100), ("USD", "1.5", 150), ("USD", "0.00", 0)],
)
def test_amounts_have_the_decimals_of_their_currency(currency: str, amount: str, minor: int) -> None:
    command = to_command(placed(currency=currency, amount=amount, coupon_codes=["A"]), ON_PLACED)

    assert isinstance(command, RedeemCoupons)
    assert command.order.amount_minor == minor


LINE = {"line_id": "1", "product_id": "p", "quantity": 1}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"amount": "1.234"}, "'1.234' has 3 decimals, but USD has 2"),
        ({"amount": "1.5", "currency": "JPY"}, "'1.5' has 1 decimals, but JPY has 0"),
        ({"currency": "XXX"}, "currency: Unknown currency 'XXX'"),
    ],
)
def test_an_amount_with_too_many_decimals_is_refused_not_rounded(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(MoneyError, match=message):
        to_command(placed(coupon_codes=["A"], **fields), ON_PLACED)


def test_an_event_of_another_topic_is_a_bug() -> None:
    with pytest.raises(AssertionError, match=r"customer\.signed_up"):
        to_command(signup(), ON_PLACED)
