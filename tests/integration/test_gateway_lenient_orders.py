"""Orders over HTTP with amounts, quantities and fields as people write them: the same for new and changed orders."""

from typing import Any

import pytest

from tests.gateway import Served, served
from tests.ledger import definition

pytestmark = pytest.mark.asyncio

P10 = definition("p10", code={"shared_code": "P10"}, limits={})
YEAR = definition("year", code={"shared_code": "2026"}, limits={})
GUEST = {"customer_id": "", "email": "ann@shop.example"}
CHEESE = {"product_id": "cheese", "unit_price": 20.00, "quantity": 0.395}


def order(**fields: Any) -> dict[str, Any]:
    return {"order_id": "O1", "currency": "USD", **fields}


async def sent(here: Served, method: str, codes: list[Any], to: dict[str, Any], **fields: Any) -> Any:
    path = f"/v1/orders/{to['order_id']}" if method == "PUT" else "/v1/redemptions"
    return await here.client.request(method, path, json={"codes": codes, "order": to, **fields})


READ: list[tuple[dict[str, Any], str]] = [
    (order(amount="12.5000"), "1.25"),
    (order(amount=12.5), "1.25"),
    (order(amount="1000.00", currency="JPY"), "100"),
    (order(lines=[CHEESE]), "0.79"),
    (order(lines=[CHEESE | {"quantity": "0.395", "line_id": ""}]), "0.79"),
    (order(lines=[CHEESE | {"quantity": 2.0}]), "4.00"),
    (order(lines=[{"product_id": "screw", "unit_price": "0.0045", "quantity": 2000}]), "0.90"),
    (order(lines=[CHEESE | {"quantity": 1}, {"product_id": "rebate", "unit_price": -5, "quantity": 1}]), "1.50"),
    (order(amount="10.00", channel="", subscription_id=" ", shop_id=""), "1.00"),
    (order(amount="10.00", currency="usd"), "1.00"),
]


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_what_is_clear_is_read(database_url: str, method: str) -> None:
    async with served(database_url, P10, YEAR) as here:
        for number, (to, discount) in enumerate(READ):
            answer = await sent(here, method, ["P10"], to | {"order_id": f"O{number}"})
            assert answer.status_code == 200, f"{to}: {answer.text}"
            assert answer.json()["discount_amount"] == discount, f"{to}: {answer.text}"


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_blank_codes_are_absent_and_numbers_are_codes(database_url: str, method: str) -> None:
    async with served(database_url, P10, YEAR) as here:
        answer = await sent(here, method, ["", 2026, " "], order(amount="10.00"), customer=GUEST)
        assert answer.status_code == 200, answer.text
        assert [one["code"] for one in answer.json()["coupons"]] == ["2026"]


async def test_the_same_order_written_in_another_way_is_no_change(database_url: str) -> None:
    async with served(database_url, P10) as here:
        assert (await sent(here, "PUT", ["P10"], order(amount="12.5000"))).json()["outcome"] == "redeemed"
        for same in (order(amount=12.5), order(amount="12.50", channel=""), order(amount="12.5", currency="usd")):
            assert (await sent(here, "PUT", ["P10", ""], same)).json()["why"] == "same_content"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize(
    ("to", "field"),
    [
        (order(amount="12.501"), "amount"),
        (order(amount="1,50"), "amount"),
        (order(lines=[CHEESE, CHEESE | {"quantity": "0.1234"}]), "lines[1].quantity"),
        (order(lines=[CHEESE | {"quantity": 0}]), "lines[0].quantity"),
        (order(lines=[CHEESE, CHEESE | {"unit_price": "0.1234567"}]), "lines[1].unit_price"),
        (order(amount="1.00", shipping_amount="0.001"), "shipping_amount"),
        (order(lines=[{"product_id": "rebate", "unit_price": -5, "quantity": 1}]), "lines"),
    ],
)
async def test_what_is_not_clear_is_refused_with_its_field(
    database_url: str, method: str, to: dict[str, Any], field: str
) -> None:
    async with served(database_url, P10) as here:
        answer = await sent(here, method, ["P10"], to)
        assert answer.status_code == 422, answer.text
        assert field in answer.text
