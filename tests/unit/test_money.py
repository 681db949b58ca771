"""Money is exact in every currency, with any number of decimals."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.model.money import MoneyError, decimals, format_for_message, format_minor, parse_minor


@pytest.mark.parametrize(
    ("amount", "currency", "minor"),
    [
        ("125.00", "USD", 12_500),
        ("125", "USD", 12_500),
        ("125.5", "USD", 12_550),
        ("0", "USD", 0),
        ("0.01", "USD", 1),
        ("007.10", "USD", 710),
        ("1000", "JPY", 1_000),
        ("0", "JPY", 0),
        ("1.234", "KWD", 1_234),
        ("1", "KWD", 1_000),
        ("1.2", "KWD", 1_200),
        ("1.2345", "CLF", 12_345),
        ("12.5000", "USD", 1_250),
        ("1000.00", "JPY", 1_000),
        ("0.000", "JPY", 0),
        ("1.23400000", "KWD", 1_234),
        ("9999999999999999.99", "USD", 999_999_999_999_999_999),
    ],
)
def test_an_amount_is_read_by_its_digits(amount: str, currency: str, minor: int) -> None:
    assert parse_minor(amount, currency) == minor


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [
        ("1.001", "USD", "3 decimals, but USD has 2: round it"),
        ("1.0010", "USD", "3 decimals, but USD has 2: round it"),
        ("1.10", "JPY", "1 decimals, but JPY has 0: round it"),
        ("1.0001", "KWD", "4 decimals, but KWD has 3: round it"),
        ("-1.00", "USD", "is negative: give zero or more"),
        ("", "USD", "is malformed: write digits"),
        (".50", "USD", "is malformed: write digits"),
        ("5.", "USD", "is malformed: write digits"),
        ("5.", "JPY", "is malformed: write digits"),
        ("1e3", "USD", "is malformed: write digits"),
        ("1_000.00", "USD", "is malformed: write digits"),
        ("1,00", "USD", "is malformed: write digits"),
        (" 1.00", "USD", "is malformed: write digits"),
        ("+1.00", "USD", "is malformed: write digits"),
        ("1.0.0", "USD", "is malformed: write digits"),
        ("\u0661.00", "USD", "is malformed: write digits"),
        ("1.\u00b2\u00b2", "USD", "is malformed: write digits"),
        ("99999999999999999.99", "USD", "is too large: at most 18 digits"),
        ("1.00", "usd", "Unknown currency 'usd': give a three-letter ISO 4217 code"),
        ("1.00", "XAU", "Unknown currency 'XAU': give a three-letter ISO 4217 code"),
    ],
)
def test_an_inexact_amount_is_refused_with_advice(amount: str, currency: str, text: str) -> None:
    with pytest.raises(MoneyError) as caught:
        parse_minor(amount, currency)
    assert text in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize(
    ("minor", "currency", "text"),
    [
        (12_500, "USD", "125.00"),
        (5, "USD", "0.05"),
        (0, "USD", "0.00"),
        (-5, "USD", "-0.05"),
        (1_000, "JPY", "1000"),
        (1, "KWD", "0.001"),
        (12_345, "KWD", "12.345"),
    ],
)
def test_minor_units_are_written_with_the_currencys_own_decimals(minor: int, currency: str, text: str) -> None:
    assert format_minor(minor, currency) == text


@given(st.integers(0, 10**18 - 1), st.sampled_from(["USD", "JPY", "KWD", "CLF"]))
def test_writing_and_reading_an_amount_returns_the_same_amount(minor: int, currency: str) -> None:
    assert parse_minor(format_minor(minor, currency), currency) == minor


def test_decimals_follow_iso_4217() -> None:
    assert {code: decimals(code) for code in ("USD", "EUR", "JPY", "KRW", "ISK", "KWD", "TND", "CLF", "HUF")} == {
        "USD": 2, "EUR": 2, "JPY": 0, "KRW": 0, "ISK": 0, "KWD": 3, "TND": 3, "CLF": 4, "HUF": 2,
    }  # fmt: skip


def test_a_message_shows_an_amount_of_an_unknown_currency_in_minor_units() -> None:
    assert format_for_message(1_250, "???") == "1250"
    assert format_for_message(1_250, "USD") == "12.50"
