"""Test `couponry explain` on a real PostgreSQL: every rule has its verdict, and nothing is written."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from shared.domain.model.customer import Customer
from shared.ledger.engine import Engine
from tests.integration.cli_calls import Called, call
from tests.ledger import definition, issue, ledger, redeem

pytestmark = pytest.mark.postgres

SHOES = {"product_ids": ["shoes"]}
ORDER: dict[str, Any] = {
    "currency": "USD",
    "amount": "45.00",
    "customer": {"customer_id": "c1"},
    "lines": [{"line_id": "1", "product_id": "510509", "quantity": 1, "unit_price": "45.00"}],
}

Couponry = Callable[..., Called]


@pytest.fixture
def couponry(database_url: str) -> Couponry:
    """Call `couponry(…)` on this test's ledger."""

    def called(*arguments: str, given: str | bytes | None = None) -> Called:
        return call({"COUPONRY_DATABASE_URL": database_url}, *arguments, given=given)

    return called


@pytest.fixture
def codes(database_url: str) -> dict[str, str]:
    """Return a code of each campaign; that of `used` is redeemed for order A."""

    async def issued() -> dict[str, str]:
        picky = {"eligibility": {"min_order_amount": "50.00", "currency": "USD"}, "applies_to": SHOES}
        made = (definition(), definition("picky", **picky), definition("used"))
        async with ledger(database_url, *made) as pool:
            engine = Engine(pool)
            found = {one.campaign_id: (await issue(engine, one.campaign_id, 1, Customer("c1")))[0] for one in made}
            await engine.execute([redeem("A", [found["used"]], customer=Customer("c1"))])
            return found

    return asyncio.run(issued())


def counts(database_url: str) -> dict[str, int]:
    """Return the row counts of the tables that a decision writes, and the last position of the outbox."""

    async def read() -> dict[str, int]:
        connection = await asyncpg.connect(database_url, server_settings={"search_path": "couponry"})
        try:
            tables = ("journal", "orders", "outbox", "ledger_entries", "locks", "customers", "coupons")
            return {table: await connection.fetchval(f"SELECT count(*) FROM {table}") for table in tables}
        finally:
            await connection.close()

    return asyncio.run(read())


def written(tmp_path: Path, document: object) -> str:
    file = tmp_path / "order.json"
    file.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(file)


def event(**changes: Any) -> dict[str, Any]:
    """Return ORDER as a CloudEvent."""
    return {
        "specversion": "1.0", "id": "1", "source": "/shop", "type": "order.placed",
        "data": {"order_id": "O1", "placed_at": "2026-03-01T12:00:00Z", **ORDER},
    } | changes  # fmt: skip


def test_a_valid_code_is_shown_with_its_discount(
    couponry: Couponry, codes: dict[str, str], tmp_path: Path, database_url: str
) -> None:
    before = counts(database_url)
    called = couponry("explain", codes["save10"], "--order", written(tmp_path, event()))

    assert (called.exit_code, called.err) == (0, "")
    assert "limits.uses_per_coupon holds limit 1, used 0, held 0" in called.words
    assert "discount holds discount 4.50, currency USD" in called.words
    assert "Its campaign doesn't set window.hours, eligibility.channels," in called.words
    assert called.out.rstrip().endswith("Valid: 4.50 USD off.")
    assert counts(database_url) == before


def test_every_refusing_rule_is_shown_and_not_only_the_first(
    couponry: Couponry, codes: dict[str, str], tmp_path: Path, database_url: str
) -> None:
    before = counts(database_url)
    called = couponry("explain", codes["picky"], "--order", written(tmp_path, ORDER))

    assert (called.exit_code, called.err) == (1, "")
    assert "eligibility.min_order_amount refused: below_minimum minimum 50.00, amount 45.00" in called.words
    assert "applies_to refused: no_eligible_product lines 1, eligible_lines 0" in called.words
    assert called.out.rstrip().splitlines()[-2:] == [
        "Refused (below_minimum): The order's 45.00 USD is below the minimum of 50.00 USD.",
        f"Refused (no_eligible_product): Coupon '{codes['picky']}' applies to none of the order's products.",
    ]
    assert all(len(line) <= 100 for line in called.out.splitlines() if not line.startswith(("Its campaign", "Refused")))
    assert counts(database_url) == before


def test_json_names_every_number(couponry: Couponry, codes: dict[str, str], tmp_path: Path) -> None:
    called = couponry("explain", codes["picky"], "--order", written(tmp_path, ORDER), "--json")
    explanation = called.json

    assert called.exit_code == 1
    assert (explanation["code"], explanation["outcome"]) == (codes["picky"], "below_minimum")
    assert explanation["message"] == "The order's 45.00 USD is below the minimum of 50.00 USD."
    [minimum] = [one for one in explanation["findings"] if one["rule"] == "eligibility.min_order_amount"]
    assert minimum == {
        "rule": "eligibility.min_order_amount",
        "outcome": "refused",
        "reason": "below_minimum",
        "message": explanation["message"],
        "saw": {"minimum": "50.00", "amount": "45.00"},
    }
    assert {one["outcome"] for one in explanation["findings"]} == {"holds", "refused", "not_asked", "not_judged"}

    good = couponry("explain", codes["save10"], "--order", written(tmp_path, ORDER), "--json")
    assert good.exit_code == 0
    assert (good.json["outcome"], good.json["message"]) == ("good", None)
    assert (good.json["discount_minor"], good.json["currency"]) == (450, "USD")


def test_without_an_order_rules_that_need_one_are_not_checked(
    couponry: Couponry, codes: dict[str, str], database_url: str
) -> None:
    before = counts(database_url)
    called = couponry("explain", f" {codes['picky'].lower()} ", "--customer", "c1")

    assert called.exit_code == 0
    assert "eligibility.min_order_amount needs an order" in called.words
    assert called.out.rstrip().endswith("Valid, as far as this can be checked without an order.")
    assert counts(database_url) == before

    alone = couponry("explain", codes["picky"], "--json").json
    assert (alone["outcome"], alone["discount_minor"], alone["currency"]) == ("good", None, None)


@pytest.mark.parametrize("document", [event(), ORDER, event(data=ORDER), {"data": ORDER}, ORDER | {"type": "web"}])
def test_an_order_comes_from_a_pipe_as_an_event_or_as_its_data(
    couponry: Couponry, codes: dict[str, str], document: dict[str, Any]
) -> None:
    called = couponry("explain", codes["save10"], "--order", "-", given=json.dumps(document))

    assert called.exit_code == 0
    assert "Valid: 4.50 USD off." in called.out


def test_the_example_order_can_be_explained(couponry: Couponry, codes: dict[str, str]) -> None:
    example = couponry("example", "order", "--code", "ANOTHER").out

    assert "Valid: 12.50 USD off." in couponry("explain", codes["save10"], "--order", "-", given=example).out


def test_numeric_amounts_keep_their_digits_and_metadata_keeps_its_types(couponry: Couponry, database_url: str) -> None:
    condition = {"name": "light", "expression": "order.metadata.kilos < 1.5 && order.amount_minor == 1234567890123456"}

    async def issued() -> str:
        async with ledger(database_url, definition(eligibility={"conditions": [condition]})) as pool:
            return (await issue(Engine(pool), "save10"))[0]

    code = asyncio.run(issued())
    text = '{"currency": "USD", "amount": 12345678901234.56, "metadata": {"kilos": 0.5}}'
    called = couponry("explain", code, "--order", "-", given=text)

    assert "eligibility.conditions holds conditions light" in called.words
    assert called.exit_code == 0


def test_a_code_already_redeemed_for_the_order_changes_nothing(couponry: Couponry, codes: dict[str, str]) -> None:
    given = json.dumps(event(data=ORDER | {"order_id": "A", "placed_at": "2026-03-01T12:00:00Z"}))
    called = couponry("explain", codes["used"], "--order", "-", given=given)

    assert called.exit_code == 0
    assert "Order 'A' has it already; it is judged on the new basket." in called.words
    assert called.out.rstrip().endswith("Already redeemed for this order; the same order again changes nothing.")
    assert couponry("explain", codes["used"], "--order", "-", "--json", given=given).json["outcome"] == "unchanged"

    other = couponry("explain", codes["used"], "--order", "-", given=json.dumps(ORDER))
    assert other.exit_code == 1
    assert "limits.uses_per_coupon refused: exhausted limit 1, used 1, held 0" in other.words


def test_an_unknown_code_is_refused_in_one_line(couponry: Couponry, codes: dict[str, str]) -> None:
    called = couponry("explain", "NOPE")

    assert called.exit_code == 1
    assert "code refused: not_found" in called.words
    assert called.out.rstrip().endswith("Refused (not_found): There is no coupon 'NOPE'.")


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("", "not valid JSON (Expecting value: line 1 column 1 (char 0)); `couponry example order` prints one."),
        ("{", "not valid JSON"),
        ("\x00\xff", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[]", "an order must be a JSON object; `couponry example order` prints one."),
        (event(type="order.paid"), "This is an event of type 'order.paid', not order.placed;"),
        (event(type=["order.placed"]), "This is an event of type ['order.placed'], not order.placed;"),
        (event(data=None), "The event's `data` must be a JSON object;"),
        (event(data="order"), "The event's `data` must be a JSON object;"),
        ({}, "currency: is missing. amount: is missing."),
        (event(data={"currency": "USD"}), "data.amount: is missing."),
        (ORDER | {"amount": "1.234"}, "'1.234' has 3 decimals, but USD has 2"),
        (ORDER | {"amount": "-1.00"}, "amount: must be an amount of at least 0"),
        (ORDER | {"amount": "lots"}, "amount: must be an amount of at least 0"),
        (ORDER | {"currency": "XXX"}, "Unknown currency 'XXX'"),
        (ORDER | {"currency": "US"}, "currency: must be a currency of three upper-case letters"),
        (ORDER | {"customer": {}}, "has no identifier; give customer_id, email or mobile"),
        (ORDER | {"placed_at": "yesterday"}, "placed_at: must be a date and time with its time zone"),
        (ORDER | {"order_id": "a\x00b"}, "A string holds the character NUL"),
        (ORDER | {"amount": float("nan")}, "amount: must be"),
    ],
)
def test_an_unreadable_order_is_reported_in_one_line(
    couponry: Couponry, tmp_path: Path, document: object, message: str
) -> None:
    file = written(tmp_path, document)
    called = couponry("explain", "SAVE10", "--order", file)

    assert (called.exit_code, called.out) == (1, "")
    assert file in called.err
    assert message in called.err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (("SAVE10", "--order", "nowhere.json"), 2, "There is no file nowhere.json; check the path."),
        (("SAVE10", "--order", "/"), 2, "/ is a folder; give a file in it."),
        ((" ",), 2, "A code must have 1 to"),
        (("SAVE10", "--customer", "+1"), 2, "is not a phone number"),
        ((), 2, "Missing argument 'CODE'"),
        (("A\x00B",), 2, "must have no control characters"),
    ],
)
def test_wrong_arguments_are_reported_in_one_line(
    couponry: Couponry, arguments: tuple[str, ...], exit_code: int, message: str
) -> None:
    called = couponry("explain", *arguments)

    assert (called.exit_code, called.out) == (exit_code, "")
    assert message in " ".join(called.err.split())
